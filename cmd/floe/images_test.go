package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/floe-k8s/floe/internal/runtime/image"
)

func TestImageTable(t *testing.T) {
	now := time.Unix(1000, 0)
	id := "sha256:" + strings.Repeat("a", 64)
	var out bytes.Buffer
	err := writeImageTable(&out, []*image.Image{
		{ID: id, Names: []string{"docker.io/library/a:1", "docker.io/library/a:2"}, Size: 12_345_678, LoadedAt: now.Add(-90 * time.Second).UnixNano()},
		{ID: id, Size: 999, LoadedAt: now.UnixNano()},
	}, now)
	want := `NAME                    IMAGE ID              SIZE   AGE
docker.io/library/a:1   sha256:aaaaaaaaaaaa   13M    90s
docker.io/library/a:2   sha256:aaaaaaaaaaaa   13M    90s
<none>                  sha256:aaaaaaaaaaaa   999    0s
`
	if err != nil || out.String() != want {
		t.Errorf("got\n%swant\n%s%v", out.String(), want, err)
	}
	out.Reset()
	if err := writeJSON(&out, nil); err != nil || out.String() != "[]\n" {
		t.Errorf("no images are %q, %v", out.String(), err)
	}
}

func TestPullPassword(t *testing.T) {
	t.Setenv("FLOE_REGISTRY_PASSWORD", "")
	for _, c := range []struct {
		o     imageOptions
		stdin string
		want  string // the password; "" is an error
	}{
		{imageOptions{user: "me", passwordStdin: true}, "secret\nmore", "secret"},
		{imageOptions{user: "me", passwordStdin: true}, "", ""},
		{imageOptions{user: "me"}, "secret", ""},
		{imageOptions{passwordStdin: true}, "secret", ""},
	} {
		auth, err := c.o.auth(strings.NewReader(c.stdin))
		if (err != nil) != (c.want == "") || auth.Password != c.want {
			t.Errorf("%+v: %+v, %v", c.o, auth, err)
		}
	}
	t.Setenv("FLOE_REGISTRY_PASSWORD", "fromenv")
	o := imageOptions{user: "me"}
	if auth, err := o.auth(strings.NewReader("")); err != nil || auth.Password != "fromenv" {
		t.Errorf("from the environment: %+v, %v", auth, err)
	}
}
