package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Limits of a container's logs, kubelets' defaults.
const (
	logMaxSize   = 10 << 20 // bytes of the file that is written
	logMaxFiles  = 5        // that one and its predecessors
	rotateEvery  = 10 * time.Second
	rotatedStamp = "20060102-150405" // in the names of predecessors, which sort by time
)

// rotateLogs keeps the logs of running containers within their limits until ctx ends.
func (a *Agent) rotateLogs(ctx context.Context) error {
	for {
		if err := a.sleep(ctx, rotateEvery); err != nil {
			return err
		}
		a.mu.Lock()
		var all []*worker
		for _, w := range a.workers {
			all = append(all, w)
		}
		a.mu.Unlock()
		for _, w := range all {
			pod, _ := w.wanted()
			if err := a.rotatePod(ctx, pod.UID, a.logDir(pod)); err != nil && ctx.Err() == nil {
				a.Log.Warn("logs were not rotated and are tried again", "pod", pod.Namespace+"/"+pod.Name, "again", rotateEvery, "err", err)
			}
		}
	}
}

func (a *Agent) rotatePod(ctx context.Context, uid types.UID, dir string) error {
	obs, err := a.observe(ctx, uid)
	if err != nil {
		return err
	}
	var errs []error
	for _, c := range obs.containers {
		if c.state != running {
			continue
		}
		file := filepath.Join(dir, c.name, strconv.FormatUint(uint64(c.attempt), 10)+".log")
		rotated, err := rotate(file, a.Clock.Now())
		if err == nil && rotated {
			_, err = a.Runtime.ReopenContainerLog(ctx, &runtimeapi.ReopenContainerLogRequest{ContainerId: c.id})
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("container %s: %w", c.name, err))
		}
	}
	return errors.Join(errs...)
}

// rotate gives a log that is too large another name, and removes the eldest of its predecessors. Its writer must then open the file anew. After a
// crash between both, the file is not there: then it is to be opened, too.
func rotate(file string, now time.Time) (rotated bool, err error) {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return true, nil
	case err != nil || info.Size() < logMaxSize:
		return false, err
	}
	old, err := filepath.Glob(file + ".*")
	if err != nil {
		return false, err
	}
	slices.SortFunc(old, strings.Compare)
	for len(old) > logMaxFiles-2 {
		if err := os.Remove(old[0]); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
		old = old[1:]
	}
	return true, os.Rename(file, file+"."+now.UTC().Format(rotatedStamp))
}
