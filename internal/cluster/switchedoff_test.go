package cluster

import (
	"strings"
	"testing"

	"k8s.io/client-go/kubernetes"
)

// TestDocumentsOfWhatIsSwitchedOff: OpenAPI tells of neither in version 2 nor 3, also when definitions have added kinds, which are described after apps' own.
func TestDocumentsOfWhatIsSwitchedOff(t *testing.T) {
	c := serveClusterAs(t, func(cfg *Config) { cfg.API.RuntimeConfig = map[string]string{"apps/v1": "false"} })
	k, ctx := kubernetes.NewForConfigOrDie(c.config), t.Context()
	const crd = `{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"things.x.example.com"},"spec":{"group":"x.example.com","scope":"Namespaced",
"names":{"plural":"things","kind":"Thing"},"versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object"}}}]}}`
	if err := k.RESTClient().Post().AbsPath("/apis/apiextensions.k8s.io/v1/customresourcedefinitions").Body([]byte(crd)).Do(ctx).Error(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/openapi/v2", "/openapi/v3"} {
		var text string
		until(t, path+" with the new kind", func() (bool, error) {
			data, err := k.RESTClient().Get().AbsPath(path).SetHeader("Accept", "application/json").DoRaw(ctx)
			text = string(data)
			return err == nil && strings.Contains(text, "apis/x.example.com/v1"), err
		})
		for _, off := range []string{"apis/apps/v1", "io.k8s.api.apps.v1.Deployment"} {
			if strings.Contains(text, off) {
				t.Errorf("%s tells of %s, which is switched off", path, off)
			}
		}
		if !strings.Contains(text, "apis/batch/v1") {
			t.Errorf("%s does not tell of what is served: %.300s", path, text)
		}
	}
}
