package wire_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/serializer/cbor"
	"k8s.io/apimachinery/pkg/runtime/serializer/cbor/direct"

	"github.com/floe-k8s/floe/internal/api/wire"
)

const cborMedia = "application/cbor"

func inCBOR(t testing.TB, value any) string {
	t.Helper()
	data, err := direct.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return "\xd9\xd9\xf7" + string(data)
}

// said reads an answer in CBOR.
func (d *door) said(t testing.TB, client *http.Client, method, path, header, body string, code int, into any) {
	t.Helper()
	resp := d.ask(t, client, method, path, header, body)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != code || resp.Header.Get("Content-Type") != cborMedia || !bytes.HasPrefix(data, []byte("\xd9\xd9\xf7")) {
		t.Fatalf("%s %s: %s %s %q, want %d in CBOR", method, path, resp.Status, resp.Header.Get("Content-Type"), data, code)
	}
	if err := direct.Unmarshal(data, into); err != nil {
		t.Fatalf("%s %s: %v in %q", method, path, err, data)
	}
}

// TestCBOR does with objects what clients do, and follows them, in CBOR.
func TestCBOR(t *testing.T) {
	d := open(t, func(cfg *wire.Config) { cfg.CBORServingAndStorage = true })
	client := d.client(t, "HTTP/2.0")
	const speak, both = "Accept: application/cbor", "Accept: application/cbor\nContent-Type: application/cbor"
	watch := d.ask(t, client, http.MethodGet, configMaps+"?watch=1&resourceVersion=0", speak, "")
	defer watch.Body.Close()
	if got := watch.Header.Get("Content-Type"); got != "application/cbor-seq" {
		t.Errorf("a watch is %s", got)
	}
	made := corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "c"}, Data: map[string]string{"k": "v"}, BinaryData: map[string][]byte{"b": {0, 1}}}
	var got corev1.ConfigMap
	d.said(t, client, http.MethodPost, configMaps, both, inCBOR(t, made), 201, &got)
	d.said(t, client, http.MethodGet, configMaps+"/c", speak, "", 200, &got)
	if got.Kind != "ConfigMap" || got.APIVersion != "v1" || got.Data["k"] != "v" || len(got.BinaryData["b"]) != 2 || got.ResourceVersion == "" {
		t.Errorf("the object is %+v", got)
	}
	var list corev1.ConfigMapList
	d.said(t, client, http.MethodGet, configMaps, speak, "", 200, &list)
	if list.Kind != "ConfigMapList" || len(list.Items) != 1 || list.Items[0].Kind != "" || list.Items[0].Name != "c" || list.ResourceVersion == "" {
		t.Errorf("the list is %+v", list)
	}
	var meta metav1.PartialObjectMetadataList
	d.said(t, client, http.MethodGet, configMaps, "Accept: application/cbor;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1", "", 200, &meta)
	if meta.Kind != "PartialObjectMetadataList" || len(meta.Items) != 1 || meta.Items[0].Name != "c" {
		t.Errorf("the metadata are %+v", meta)
	}
	applied := map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "c"}, "data": map[string]any{"k2": "v2"}}
	d.said(t, client, http.MethodPatch, configMaps+"/c?fieldManager=x&dryRun=All", speak+"\nContent-Type: application/apply-patch+cbor", inCBOR(t, applied), 200, &got)
	if got.Data["k2"] != "v2" || got.Data["k"] != "v" {
		t.Errorf("what was applied is %+v", got.Data)
	}
	var status metav1.Status
	d.said(t, client, http.MethodDelete, configMaps+"/c", both, inCBOR(t, metav1.DeleteOptions{}), 200, &status)
	if status.Status != metav1.StatusSuccess {
		t.Errorf("the deletion answers %+v", status)
	}
	events := cbor.NewFramer().NewFrameReader(watch.Body)
	for _, want := range []string{"ADDED", "DELETED"} {
		buf := make([]byte, 4096)
		n, err := events.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		var event metav1.WatchEvent
		var object corev1.ConfigMap
		if err := direct.Unmarshal(buf[:n], &event); err != nil {
			t.Fatal(err)
		}
		if err := direct.Unmarshal(event.Object.Raw, &object); err != nil || event.Type != want || object.Kind != "ConfigMap" || object.Name != "c" {
			t.Errorf("an event %s of %+v, %v", event.Type, object, err)
		}
	}
	for _, c := range []struct {
		path, header, body string
		code               int
		message            string
	}{
		{configMaps, both, inCBOR(t, map[string]any{"kind": "Pod", "apiVersion": "v1"}), 400, "Pod in version \"v1\" cannot be handled as a ConfigMap: "},
		{configMaps, both, "\xff", 400, "the object provided is unrecognized (must be of type ConfigMap): unable to determine group/version/kind: "},
		{configMaps, both, strings.Repeat("\x81", 3<<20), 400, "unable to determine group/version/kind: "},
		{configMaps, both, "\xd9\xd9\xf7\x9b\xff\xff\xff\xff\xff\xff\xff\xff", 400, "unable to determine group/version/kind: "},
		{configMaps + "?fieldValidation=Strict", both, inCBOR(t, map[string]any{"metadata": map[string]any{"name": "x"}, "colour": 1}), 400, "strict decoding error: "},
		{configMaps, speak + "\nContent-Type: text/plain", "", 415, "accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf, application/cbor"},
	} {
		d.said(t, client, http.MethodPost, c.path, c.header, c.body, c.code, &status)
		if !strings.Contains(status.Message, c.message) {
			t.Errorf("%.40q: %s, want %q", c.body, status.Message, c.message)
		}
	}
	resp := d.ask(t, client, http.MethodGet, configMaps, "Accept: application/cbor;as=Table;g=meta.k8s.io;v=v1", "")
	resp.Body.Close()
	if resp.StatusCode != http.StatusNotAcceptable {
		t.Errorf("a table in CBOR: %s", resp.Status)
	}
}

// TestCBORIsOffByDefault asks for it as if it were on.
func TestCBORIsOffByDefault(t *testing.T) {
	s := serve(t)
	for request, code := range map[string]int{
		"POST " + configMaps + "\nContent-Type: application/cbor\n\n" + inCBOR(t, map[string]any{}):   415,
		"PATCH " + configMaps + "/a?fieldManager=x\nContent-Type: application/apply-patch+cbor\n\n{}": 415,
		"GET " + configMaps + "\nAccept: application/cbor":                                            406,
		"GET " + configMaps + "?watch=1\nAccept: application/cbor-seq":                                406,
	} {
		if resp := s.send(t, request); resp.StatusCode != code {
			t.Error(fmt.Sprintf("%.60q: want %d, got ", request, code), show(t, resp))
		}
	}
}
