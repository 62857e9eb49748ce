package main

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// saved is one image of an archive, as docker save has it.
type saved struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// waiting writes an archive of pause: the image of the archive from, with a command that does nothing.
func waiting(from, to string) error {
	files, err := readArchive(from)
	if err != nil {
		return err
	}
	var images []saved
	if err := json.Unmarshal(files["manifest.json"], &images); err != nil || len(images) != 1 {
		return fmt.Errorf("%s: %d images, want one (%w)", from, len(images), err)
	}
	var config map[string]any
	if err := json.Unmarshal(files[images[0].Config], &config); err != nil {
		return err
	}
	config["config"] = map[string]any{"Entrypoint": []string{"/floe-tool", "sleep", "forever"}, "WorkingDir": "/"}
	changed, err := json.Marshal(config)
	if err != nil {
		return err
	}
	list, err := json.Marshal([]saved{{Config: "config.json", RepoTags: []string{pause}, Layers: images[0].Layers}})
	if err != nil {
		return err
	}
	out := map[string][]byte{"manifest.json": list, "config.json": changed}
	for _, layer := range images[0].Layers {
		out[layer] = files[layer]
	}
	return writeArchive(to, out)
}

func readArchive(path string) (map[string][]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	files := map[string][]byte{}
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		if files[h.Name], err = io.ReadAll(r); err != nil {
			return nil, err
		}
	}
}

func writeArchive(path string, files map[string][]byte) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := tar.NewWriter(f)
	for name, data := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(data))}); err != nil {
			return err
		}
		if _, err := w.Write(data); err != nil {
			return err
		}
	}
	return w.Close()
}
