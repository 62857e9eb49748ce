// Command answers sends the requests of scripts to upstream's kube-apiserver, as test/peers/with runs it, and records what it answered. Arguments:
// the directory for the records, then the scripts.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/floe-k8s/floe/test/peers/exchange"
)

const server = "https://127.0.0.1:26443" // where test/peers/with puts it

func main() {
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "answers:", err)
		os.Exit(1)
	}
}

func run(dir string, scripts []string) error {
	client, anonymous, err := clients(os.Getenv("PEERS_DIR"))
	if err != nil {
		return err
	}
	for _, script := range scripts {
		requests, err := exchange.Read(script)
		if err != nil {
			return err
		}
		var list []exchange.Answer
		for _, r := range requests {
			c := client
			if r.Header["X-User"] == "system:anonymous" {
				c = anonymous
			}
			answer, err := send(c, r)
			if err != nil {
				return err
			}
			list = append(list, answer)
		}
		data, err := json.MarshalIndent(list, "", " ")
		if err != nil {
			return err
		}
		name := strings.TrimSuffix(filepath.Base(script), ".txt") + ".json"
		if err := os.WriteFile(filepath.Join(dir, name), append(data, '\n'), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// clients are the administrator's, and one that shows no certificate.
func clients(dir string) (admin, anonymous *http.Client, err error) {
	ca, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		return nil, nil, err
	}
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "admin.crt"), filepath.Join(dir, "admin.key"))
	if err != nil {
		return nil, nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	make := func(certs ...tls.Certificate) *http.Client {
		return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: certs}}}
	}
	return make(cert), make(), nil
}

func send(c *http.Client, r exchange.Request) (exchange.Answer, error) {
	req, err := http.NewRequest(r.Method, server+r.Path, strings.NewReader(r.Body))
	if err != nil {
		return exchange.Answer{}, err
	}
	for name, value := range r.Header {
		switch {
		case name != "X-User":
			req.Header.Set(name, value)
		case value != "system:anonymous":
			req.Header.Set("Impersonate-User", value)
		}
	}
	resp, err := c.Do(req)
	if err != nil {
		return exchange.Answer{}, err
	}
	return exchange.Of(r, resp)
}
