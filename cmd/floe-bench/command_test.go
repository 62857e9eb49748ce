package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestMistakesAreNamed(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"", "requires at least 1 arg"},
		{"sleep", `scenario "sleep" is none of these`},
		{"get --output xml", `output "xml": want table or json`},
		{"get --pid etcd", `process "etcd": want NAME=PID`},
		{"get --kubeconfig /nonexistent/file", "/nonexistent/file"},
		{"ready --exec true", "ready needs --url or --kubeconfig"},
	} {
		cmd := command()
		cmd.SetArgs(strings.Fields(c.args))
		cmd.SetOut(&bytes.Buffer{})
		cmd.SetErr(&bytes.Buffer{})
		if err := cmd.Execute(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("floe bench %s: error %v, want one with %q", c.args, err, c.want)
		}
	}
}

func TestAllIsEveryScenarioThatNeedsAServer(t *testing.T) {
	chosen, err := choose([]string{"all"})
	if err != nil || len(chosen) != 10 {
		t.Fatalf("all: %d scenarios, %v; want 10", len(chosen), err)
	}
	for _, s := range chosen {
		if s.Name == "ready" {
			t.Error("all holds ready, which starts servers of its own")
		}
	}
}
