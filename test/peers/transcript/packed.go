package transcript

import (
	"fmt"
	"os"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// Packed is how the name of a file ends that holds a transcript compressed.
const Packed = ".zst"

// load is the text in a file, which is unpacked if its name says that it is packed.
func load(file string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil || !strings.HasSuffix(file, Packed) {
		return string(data), err
	}
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	defer d.Close()
	if data, err = d.DecodeAll(data, nil); err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	return string(data), nil
}

// Write writes a transcript, compressed if the file's name ends with Packed.
func Write(file string, blocks []Block) error {
	data := []byte(Format(blocks))
	if strings.HasSuffix(file, Packed) {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithWindowSize(16<<20), zstd.WithEncoderConcurrency(1))
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		data = e.EncodeAll(data, nil)
	}
	return os.WriteFile(file, data, 0o644)
}
