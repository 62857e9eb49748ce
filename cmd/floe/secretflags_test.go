package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// secretive matches the names of flags that may be about what nobody else may know.
var secretive = regexp.MustCompile(`token|secret|password|key|credential|encryption|kubeconfig|webhook-config|oidc`)

// TestNoFlagIsASecret: everybody on a host reads the arguments of every process. What signs, opens or proves is named by the file that it stands in.
func TestNoFlagIsASecret(t *testing.T) {
	openly := map[string]string{ // flags of such names that nobody needs to hide
		"oidc-issuer-url": "an address", "oidc-client-id": "an audience", "oidc-username-claim": "a name", "oidc-username-prefix": "a name", "oidc-groups-claim": "a name",
		"oidc-groups-prefix": "a name", "oidc-required-claim": "names", "oidc-signing-algs": "names", "service-account-max-token-expiration": "a time",
		"encryption-provider-config": "a file", "write-kubeconfig": "a file", "tls-sni-cert-key": "files", "encryption-provider-config-automatic-reload": "a switch",
		"enable-bootstrap-token-auth": "a switch", "service-account-extend-token-expiration": "a switch",
		"legacy-service-account-token-clean-up-period": "a time",
		"authentication-token-webhook-version":         "a version", "authentication-token-webhook-cache-ttl": "a time",
	}
	flags, _ := flagsOf()
	seen := 0
	flags.VisitAll(func(f *pflag.Flag) {
		if !secretive.MatchString(f.Name) || f.Hidden {
			return
		}
		seen++
		if !strings.HasSuffix(f.Name, "file") && openly[f.Name] == "" {
			t.Errorf("--%s: neither names a file, nor stands in the list of what nobody needs to hide", f.Name)
		}
	})
	if seen < 15 {
		t.Errorf("only %d flags are about secrets; the test tests nothing", seen)
	}
}
