package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// archiveSuffixes are the names that LoadDir takes for archives.
var archiveSuffixes = []string{".tar", ".tar.gz", ".tgz", ".tar.zst", ".tzst"}

// loadedArchive is what archives.json remembers of an archive, by its path.
type loadedArchive struct {
	Size  int64    `json:"size"`
	MTime int64    `json:"mtime"`
	IDs   []string `json:"ids"`
}

// LoadDir loads the archives in a directory (*.tar, *.tar.gz, *.tgz, *.tar.zst, *.tzst) in the order of their names, except those that have not changed
// since they were loaded and whose images are still here, and returns the images it loaded, pinned: no registry may have them. An absent directory holds none. One archive's error
// does not keep the others from being loaded; all are in the error.
func (s *Store) LoadDir(ctx context.Context, dir string) ([]*Image, error) {
	names, err := archivesIn(dir)
	if err != nil || len(names) == 0 {
		return nil, err
	}
	known, err := s.knownArchives()
	if err != nil {
		return nil, err
	}
	var loaded []*Image
	var errs []error
	now := map[string]loadedArchive{}
	for _, path := range names {
		info, err := os.Stat(path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		a := loadedArchive{Size: info.Size(), MTime: info.ModTime().UnixNano()}
		if old := known[path]; old.Size == a.Size && old.MTime == a.MTime && s.haveAll(old.IDs) {
			now[path] = old
			continue
		}
		images, err := s.LoadFile(ctx, path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, i := range images {
			a.IDs = append(a.IDs, i.ID)
			errs = append(errs, s.SetPinned(i.ID, true))
		}
		now[path] = a
		loaded = append(loaded, images...)
	}
	return loaded, errors.Join(append(errs, s.rememberArchives(now))...)
}

func archivesIn(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("image archives: %w", err)
	}
	var paths []string
	for _, e := range entries {
		if slices.ContainsFunc(archiveSuffixes, func(suffix string) bool { return strings.HasSuffix(e.Name(), suffix) }) && !e.IsDir() {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	return paths, nil
}

func (s *Store) haveAll(ids []string) bool {
	for _, id := range ids {
		if _, err := s.Resolve(id); err != nil {
			return false
		}
	}
	return len(ids) > 0
}

const archivesFile = "archives.json"

func (s *Store) knownArchives() (map[string]loadedArchive, error) {
	data, err := os.ReadFile(filepath.Join(s.root, archivesFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var known map[string]loadedArchive
	if json.Unmarshal(data, &known) != nil {
		return nil, nil // it is not synced; after a power failure all are loaded again
	}
	return known, nil
}

func (s *Store) rememberArchives(now map[string]loadedArchive) error {
	data, err := json.Marshal(now)
	if err != nil {
		return err
	}
	unlock, err := s.lock("index.lock", unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer unlock()
	temporary := filepath.Join(s.root, "."+archivesFile+".new")
	if err := os.WriteFile(temporary, data, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, filepath.Join(s.root, archivesFile))
}
