package node

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// annotationFallback says that a failed container's message may be taken from its log.
const annotationFallback = "floe.dev/message-from-log"

const (
	maxMessage      = 4096 // bytes of a message file, as kubelets read
	maxMessageLog   = 2048 // bytes and lines of a log's end
	maxMessageLines = 80
)

// messageFile makes the file that a container may leave its last words in.
func (a *Agent) messageFile(pod *corev1.Pod, c *corev1.Container, attempt uint32) (string, error) {
	dir := filepath.Join(a.podDir(pod), "containers", c.Name)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", err
	}
	file := filepath.Join(dir, strconv.FormatUint(uint64(attempt), 10))
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return "", err
	}
	return file, errors.Join(f.Chmod(0o666), f.Close()) // whatever the umask: any user may write
}

// lastWords are what a container that has ended said about its end; "" for nothing.
func lastWords(s *runtimeapi.ContainerStatus) string {
	if text := readEnd(s.Annotations[annotationMessage], 0, maxMessage); text != "" {
		return text
	}
	if s.ExitCode == 0 || s.Annotations[annotationFallback] == "" {
		return ""
	}
	var lines []string
	for _, line := range strings.SplitAfter(readEnd(s.LogPath, -2*maxMessageLog, 2*maxMessageLog), "\n") {
		if entry, err := parseEntry([]byte(line)); err == nil {
			lines = append(lines, string(entry.text))
		}
	}
	text := strings.Join(lines[max(0, len(lines)-maxMessageLines):], "")
	return text[max(0, len(text)-maxMessageLog):]
}

// readEnd reads at most size bytes from offset, which counts from the end when it is negative. What cannot be read is nothing: a container's end
// is told with or without its words. A link is not followed, since the container may have put one there.
func readEnd(file string, offset int64, size int64) string {
	if file == "" {
		return ""
	}
	info, err := os.Lstat(file)
	if err != nil || !info.Mode().IsRegular() {
		return ""
	}
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	if offset < 0 {
		offset = max(0, info.Size()+offset)
	}
	data := make([]byte, min(size, info.Size()))
	n, err := f.ReadAt(data, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return ""
	}
	return string(data[:n])
}
