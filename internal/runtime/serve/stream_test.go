package serve

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func TestPiecesAreEachItemOnceAndBounded(t *testing.T) {
	for name, sizes := range map[string][]int{
		"none": nil, "one": {10}, "small": {1, 2, 3}, "many": {400 << 10, 500 << 10, 600 << 10, 10, 20}, "huge": {5 << 20, 1, 7 << 20},
	} {
		var items []*runtimeapi.Container
		for i, size := range sizes {
			items = append(items, &runtimeapi.Container{Id: string(rune('a' + i)), Annotations: map[string]string{"x": strings.Repeat("x", size)}})
		}
		var got []*runtimeapi.Container
		err := inPieces(items, func(part []*runtimeapi.Container) error {
			size := 0
			for _, c := range part {
				size += proto.Size(c)
			}
			if len(part) == 0 || size > pieceBytes && len(part) > 1 {
				t.Errorf("%s: a piece of %d items and %d bytes", name, len(part), size)
			}
			got = append(got, part...)
			return nil
		})
		if err != nil || len(got) != len(items) {
			t.Fatalf("%s: %d of %d items came, %v", name, len(got), len(items), err)
		}
		for i := range got {
			if got[i] != items[i] {
				t.Errorf("%s: item %d is another one", name, i)
			}
		}
	}
}

func TestListen(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "below", "floe.sock")
	l, err := Listen(ctx, "unix://"+path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := Listen(ctx, "unix://"+path); err == nil || !strings.Contains(err.Error(), "another process answers") {
		t.Errorf("a second one: %v", err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // as if it had been killed
	l.Close()
	l, err = Listen(ctx, "unix://"+path)
	if err != nil {
		t.Fatalf("after a kill: %v", err)
	}
	l.Close()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]string{
		"unix://" + path: "no socket", "tcp://127.0.0.1:1": "allowed is unix://PATH", "unix://relative": "absolute", "unix:///" + strings.Repeat("x", 120): "107",
	} {
		if _, err := Listen(ctx, address); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", address, err, want)
		}
	}
}
