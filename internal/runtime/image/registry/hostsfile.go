package registry

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// hostTable is what hosts.toml says about one host, and, at its top, about the server. Fields of two shapes are any.
type hostTable struct {
	Capabilities []string       `toml:"capabilities"`
	CA           any            `toml:"ca"`
	Client       any            `toml:"client"`
	SkipVerify   *bool          `toml:"skip_verify"`
	Header       map[string]any `toml:"header"`
	OverridePath bool           `toml:"override_path"`
	DialTimeout  string         `toml:"dial_timeout"`
	Proxy        string         `toml:"proxy"`
}

type hostsFile struct {
	hostTable
	Server string               `toml:"server"`
	Host   map[string]hostTable `toml:"host"`
}

// parseHosts reads a hosts.toml that stands in dir: the mirrors in the order of the file, the server last. Without a server the last one has no
// address: it is the registry itself.
func parseHosts(dir string, data []byte) ([]Host, error) {
	var file hostsFile
	if err := toml.Unmarshal(data, &file); err != nil {
		return nil, err
	}
	names, err := hostOrder(data)
	if err != nil {
		return nil, err
	}
	var hosts []Host
	for _, name := range names {
		h, err := file.Host[name].host(dir, name)
		if err != nil {
			return nil, fmt.Errorf("host %q: %w", name, err)
		}
		hosts = append(hosts, h)
	}
	last, err := file.host(dir, file.Server)
	if err != nil {
		return nil, err
	}
	return append(hosts, last), nil
}

// hostOrder lists the names of the tables [host.NAME] as they stand in the file; a map does not tell.
func hostOrder(data []byte) ([]string, error) {
	var names []string
	var p unstable.Parser
	p.Reset(data)
	for p.NextExpression() {
		e := p.Expression()
		if e.Kind != unstable.Table && e.Kind != unstable.KeyValue {
			continue
		}
		keys := e.Key()
		if !keys.Next() || string(keys.Node().Data) != "host" || !keys.Next() {
			continue
		}
		if name := string(keys.Node().Data); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, p.Error()
}

func (t hostTable) host(dir, server string) (Host, error) {
	h := Host{SkipVerify: t.SkipVerify}
	var errs [7]error
	if server != "" {
		h.Root, errs[0] = rootOf(server, t.OverridePath)
	}
	h.Can, errs[1] = capabilities(t.Capabilities)
	if t.CA != nil {
		h.CA, errs[2] = files(dir, "ca", t.CA)
	}
	if t.Client != nil {
		h.Client, errs[3] = pairs(dir, t.Client)
	}
	h.Header, errs[4] = header(t.Header)
	if t.DialTimeout != "" {
		h.DialTimeout, errs[5] = time.ParseDuration(t.DialTimeout)
	}
	if t.Proxy != "" {
		h.Proxy, errs[6] = proxyAddress(t.Proxy)
	}
	return h, errors.Join(errs[:]...)
}

func capabilities(names []string) (Capability, error) {
	if len(names) == 0 {
		return allCapabilities, nil
	}
	known := map[string]Capability{"pull": Pull, "resolve": Resolve, "push": Push}
	var can Capability
	for _, n := range names {
		c, ok := known[strings.ToLower(n)]
		if !ok {
			return 0, fmt.Errorf("capability %q is none of pull, resolve, push", n)
		}
		can |= c
	}
	return can, nil
}

// stringsOf takes a string or a list of strings.
func stringsOf(field string, v any) ([]string, error) {
	switch v := v.(type) {
	case string:
		return []string{v}, nil
	case []any:
		all := make([]string, len(v))
		for i, e := range v {
			s, ok := e.(string)
			if !ok {
				return nil, fmt.Errorf("%s: %v is no string", field, e)
			}
			all[i] = s
		}
		return all, nil
	}
	return nil, fmt.Errorf("%s: %v is neither a string nor a list of strings", field, v)
}

// files are paths, those that are not absolute below dir.
func files(dir, field string, v any) ([]string, error) {
	all, err := stringsOf(field, v)
	for i, name := range all {
		if name != "" && !filepath.IsAbs(name) {
			all[i] = filepath.Join(dir, name)
		}
	}
	return all, err
}

// pairs takes a file, a list of files, or a list of pairs of files.
func pairs(dir string, v any) ([][2]string, error) {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	var all [][2]string
	for _, e := range list {
		names, err := files(dir, "client", e)
		if err != nil {
			return nil, err
		}
		_, single := e.(string)
		switch {
		case single:
			all = append(all, [2]string{names[0], ""})
		case len(names) == 2:
			all = append(all, [2]string{names[0], names[1]})
		default:
			return nil, fmt.Errorf("client: %v is no pair of files", e)
		}
	}
	return all, nil
}

func header(fields map[string]any) (http.Header, error) {
	h := http.Header{}
	for name, v := range fields {
		values, err := stringsOf("header "+name, v)
		if err != nil {
			return nil, err
		}
		for _, value := range values {
			h.Add(name, value)
		}
	}
	return h, nil
}

func proxyAddress(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	known := slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme)
	if !known || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("proxy %q: it must be http, https, socks5 or socks5h://HOST[:PORT]", u.Redacted())
	}
	return u, nil
}
