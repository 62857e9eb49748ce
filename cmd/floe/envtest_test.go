package main

import (
	"io"
	"strings"
	"testing"
)

// TestFlagsOfStandIns: flags that mean nothing here are taken, and those that would are refused by name.
func TestFlagsOfStandIns(t *testing.T) {
	for _, c := range []struct{ program, flag, want string }{
		{"etcd", "--listen-peer-urls=http://localhost:0", ""},
		{"etcd", "--unsafe-no-fsync=true", ""},
		{"etcd", "--client-cert-auth=false", ""},
		{"etcd", "--client-cert-auth", `"--client-cert-auth" flag: must be false: the stand-in speaks http only`},
		{"etcd", "--cert-file=/c", `"--cert-file" flag: floe does not have this flag of etcd: the stand-in speaks http only`},
		{"etcd", "--max-request-bytes=3145728", "must be 1572864: a larger object is refused by the server"},
		{"etcd", "--no-such-flag", "unknown flag: --no-such-flag"},
		{"kube-apiserver", "--cert-dir=/c", ""},
		{"kube-apiserver", "--allow-privileged=true", ""},
		{"kube-apiserver", "--watch-cache=false", `"--watch-cache" flag: must be true`},
		{"kube-apiserver", "--insecure-port=0", "unknown flag: --insecure-port"}, // nor does upstream know it
	} {
		cmd := standIn(c.program)
		cmd.SetOut(io.Discard)
		err := cmd.ParseFlags([]string{c.flag})
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s %s: got %v, want %q", c.program, c.flag, err, c.want)
		}
	}
	if standIn("floe") != nil {
		t.Error("floe called by its own name stands in for another")
	}
}

// TestHelpOfStandIns: envtest looks flags up in the help, at the beginnings of its lines.
func TestHelpOfStandIns(t *testing.T) {
	for program, want := range map[string]map[string]bool{
		"etcd":           {"unsafe-no-fsync": true, "data-dir": true},
		"kube-apiserver": {"insecure-port": false, "etcd-servers": true, "cert-dir": true},
	} {
		help := standIn(program).UsageString()
		for flag, there := range want {
			if got := strings.Contains(help, "\n      --"+flag+" "); got != there {
				t.Errorf("%s --help has --%s: %v, want %v", program, flag, got, there)
			}
		}
	}
}
