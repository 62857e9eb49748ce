package api_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	resourcev1 "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/api/apitest"
	"github.com/floe-k8s/floe/internal/auth"
)

// TestRights: who may write a status is asked whether they may change what stands there, in the verb of the request and in upstream's words.
func TestRights(t *testing.T) {
	c := apitest.New(t)
	claim := &resourcev1.ResourceClaim{ObjectMeta: metav1.ObjectMeta{Name: "c", Namespace: "default"}}
	claim.Spec.Devices.Requests = []resourcev1.DeviceRequest{{Name: "r", Exactly: &resourcev1.ExactDeviceRequest{DeviceClassName: "gpu"}}}
	req := api.Request{User: apitest.Administrator(), Kind: c.API.Kind(resourcev1.SchemeGroupVersion.WithResource("resourceclaims")), Namespace: "default"}
	made, err := c.API.Create(t.Context(), req, claim, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	claim = made.Object.DeepCopyObject().(*resourcev1.ResourceClaim)
	claim.Status.Allocation = &resourcev1.AllocationResult{Devices: resourcev1.DeviceAllocationResult{Results: []resourcev1.DeviceRequestAllocationResult{
		{Request: "r", Driver: "d", Pool: "p", Device: "a"},
	}}}
	may := []string{"update status", "patch status", "patch binding"}
	c.API.Authorizer = func(_ context.Context, _ auth.User, a auth.Attributes) (auth.Decision, string, error) {
		if slices.Contains(may, a.Verb+" "+a.Subresource) && (a.Subresource == "status" || a.Namespace == "" && a.Name == "") {
			return auth.Allow, "", nil
		}
		return auth.NoOpinion, "", nil
	}
	req.Name, req.Subresource, req.User = "c", "status", auth.User{Name: "someone"}
	_, err = c.API.Update(t.Context(), req, claim, metav1.UpdateOptions{})
	const want = `status.allocation: Forbidden: changing status.allocation or status.reservedFor requires resource="resourceclaims/binding", verb="update" permission: ` +
		`resourceclaims.resource.k8s.io is forbidden: User "someone" cannot update resource "resourceclaims/binding" in API group "resource.k8s.io" at the cluster scope`
	if err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
	decode := func(data []byte, into runtime.Object) ([]error, error) { return nil, json.Unmarshal(data, into) }
	patch := api.Patch{Type: types.MergePatchType, Decode: decode, Data: []byte(`{"status":{"allocation":{"devices":{"results":[{"request":"r","driver":"d","pool":"p","device":"a"}]}}}}`)}
	if _, err := c.API.Patch(t.Context(), req, patch, metav1.PatchOptions{}); err != nil {
		t.Errorf("a patch by who may patch bindings: %v", err)
	}
}
