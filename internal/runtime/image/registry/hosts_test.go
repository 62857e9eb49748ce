package registry

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestHostsFile(t *testing.T) {
	hosts, err := parseHosts("/d", []byte(`
server = "https://registry-1.docker.io"
ca = ["a.pem", "/abs.pem"]
[header]
  x-one = "1"
[host."https://second.test/path"]
  capabilities = ["pull", "RESOLVE"]
  client = [["c.cert", "c.key"], ["both.pem", ""]]
  dial_timeout = "1s"
  proxy = "http://proxy.test:3128"
[host."first.test:5000"]
  capabilities = ["pull"]
  client = "c.pem"
  skip_verify = true
  override_path = true
  [host."first.test:5000".header]
    x-two = ["2", "3"]
`))
	if err != nil || len(hosts) != 3 {
		t.Fatal(hosts, err)
	}
	for i, want := range []string{"https://second.test/path/v2", "https://first.test:5000", "https://registry-1.docker.io/v2"} {
		if got := hosts[i].Root.String(); got != want {
			t.Errorf("host %d is %s, want %s", i, got, want)
		}
	}
	second, first, server := hosts[0], hosts[1], hosts[2]
	if second.Can != Pull|Resolve || first.Can != Pull || server.Can != allCapabilities {
		t.Errorf("capabilities %v %v %v", second.Can, first.Can, server.Can)
	}
	if !slices.Equal(second.Client, [][2]string{{"/d/c.cert", "/d/c.key"}, {"/d/both.pem", ""}}) || !slices.Equal(first.Client, [][2]string{{"/d/c.pem", ""}}) {
		t.Errorf("clients %v %v", second.Client, first.Client)
	}
	if !slices.Equal(server.CA, []string{"/d/a.pem", "/abs.pem"}) || server.Header.Get("X-One") != "1" || !slices.Equal(first.Header.Values("X-Two"), []string{"2", "3"}) {
		t.Errorf("server %+v, first %+v", server, first)
	}
	if second.DialTimeout != time.Second || second.Proxy.Host != "proxy.test:3128" || first.SkipVerify == nil || !*first.SkipVerify {
		t.Errorf("second %+v, first %+v", second, first)
	}
}

func TestBadHostsFiles(t *testing.T) {
	for _, text := range []string{
		`server = `, `capabilities = ["fly"]`, `ca = 3`, `ca = [3]`, `client = [["one"]]`, `client = 3`, `header = {x = 3}`, `dial_timeout = "soon"`,
		`proxy = "ftp://x"`, `proxy = "http://x/path"`, `server = "https://"`, `server = "https://user:pass@x"`, `[host."http://%zz"]`,
	} {
		if hosts, err := parseHosts("/d", []byte(text)); err == nil {
			t.Errorf("%s: %+v", text, hosts)
		}
	}
}

func TestDefaultHosts(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"listed.test_5000_", "empty.test", "_default"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"listed.test_5000_": `server = "http://here.test"`, "_default": `[host."https://mirror.test"]`} {
		if err := os.WriteFile(filepath.Join(dir, name, "hosts.toml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		root, registry string
		plain          bool
		want           string
	}{
		{"", "docker.io", false, "https://registry-1.docker.io/v2"},
		{"", "quay.io", false, "https://quay.io/v2"},
		{"", "quay.io", true, "http://quay.io/v2"},
		{"", "localhost", false, "https://localhost/v2"},
		{"", "localhost:5000", false, "http://localhost:5000/v2"},
		{"", "127.0.0.1:443", false, "https://127.0.0.1:443/v2"},
		{"", "[::1]:80", false, "http://[::1]:80/v2"},
		{dir, "listed.test:5000", false, "http://here.test/v2"},
		{dir, "empty.test", false, "https://empty.test/v2"},
		{dir, "other.test", false, "https://mirror.test/v2 https://other.test/v2"},
		{t.TempDir() + ":" + dir, "other.test", false, "https://mirror.test/v2 https://other.test/v2"},
	} {
		hosts, err := hostsOf(c.root, c.registry, c.plain)
		var got []string
		for _, h := range hosts {
			got = append(got, h.Root.String())
		}
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v, %v, want %s", c.registry, got, err, c.want)
		}
	}
	for _, bad := range []string{"..", "a/b", "."} {
		if hosts, err := hostsOf(dir, bad, false); err == nil {
			t.Errorf("%s: %+v", bad, hosts)
		}
	}
}

func TestChallenges(t *testing.T) {
	for in, want := range map[string]string{
		`Bearer realm="https://a/token",service="s"`:                       `bearer map[realm:https://a/token service:s]`,
		`Basic realm="x", Bearer realm="y",scope="repository:a:pull,push"`: `bearer map[realm:y scope:repository:a:pull,push]; basic map[realm:x]`,
		`Negotiate, Basic realm=x`:                                         `negotiate map[]; basic map[realm:x]`,
		`Bearer realm="a\"b`:                                               `bearer map[realm:a"b]`,
		``:                                                                 ``,
		`,,,`:                                                              ``,
		`Bearer`:                                                           `bearer map[]`,
		`Bearer error=invalid_token`:                                       `bearer map[error:invalid_token]`,
	} {
		var got []string
		for _, c := range challenges([]string{in}) {
			got = append(got, fmt.Sprintf("%s %v", c.scheme, c.params))
		}
		if strings.Join(got, "; ") != want {
			t.Errorf("%s: %s, want %s", in, strings.Join(got, "; "), want)
		}
	}
}

// FuzzHosts reads mangled hosts.toml files: whatever they say, there is an error or a list that ends with the server.
func FuzzHosts(f *testing.F) {
	f.Add([]byte("server = \"https://a\"\n[host.\"https://b\"]\ncapabilities = [\"pull\"]\n[host.\"https://b\".header]\nx = [\"1\"]\n"))
	f.Add([]byte("ca = 'x'\nclient = [['a','b']]\nskip_verify = true\ndial_timeout = '3s'\nproxy = 'http://p'\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		hosts, err := parseHosts("/d", data)
		if err != nil {
			return
		}
		if len(hosts) == 0 {
			t.Fatal("neither an error nor a host")
		}
		for _, h := range hosts[:len(hosts)-1] {
			if h.Root.Host == "" && h.Root.Scheme != "" {
				t.Errorf("a mirror without address: %+v", h)
			}
		}
	})
}

// FuzzChallenges reads mangled challenges.
func FuzzChallenges(f *testing.F) {
	f.Add(`Bearer realm="https://a/token",service="s", Basic realm="x"`)
	f.Fuzz(func(t *testing.T, s string) {
		for _, c := range challenges(http.Header{"WWW-Authenticate": {s}}.Values("WWW-Authenticate")) {
			if c.scheme == "" || c.scheme != strings.ToLower(c.scheme) {
				t.Errorf("%q has scheme %q", s, c.scheme)
			}
		}
	})
}
