package plan

import "fmt"

// A certificate request each of: CN=x; O=system:masters, CN=x; O=system:nodes, CN=system:node:n. Made with openssl; nobody has their keys.
const (
	plainRequest   = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlIR01HNENBUUF3RERFS01BZ0dBMVVFQXd3QmVEQlpNQk1HQnlxR1NNNDlBZ0VHQ0NxR1NNNDlBd0VIQTBJQQpCSzlMR2dNdTV5ZHZmdDY0M2xDdS8wSFgwaXhPMTVKUitraHhPU1JxaDgvWGNKcnJhcVkvUnlPT2RYNFJQZkk5CnVNeGtmdzZyeWM3Q0JvL0dNZVpkVUNTZ0FEQUtCZ2dxaGtqT1BRUURBZ05JQURCRkFpQTRycy9OYWNyNllOa1kKVkREeGpobGpWdjlYVW1aN2xodFZQdjZIWVpmbklRSWhBS2ZxM0VkMTVxbXRjMHF6VWpYZDlFVmJpYWNwSjBOMApTWWZKdWc5S3k2OGUKLS0tLS1FTkQgQ0VSVElGSUNBVEUgUkVRVUVTVC0tLS0tCg=="
	mastersRequest = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlIZ01JR0hBZ0VBTUNVeEZ6QVZCZ05WQkFvTURuTjVjM1JsYlRwdFlYTjBaWEp6TVFvd0NBWURWUVFEREFGNApNRmt3RXdZSEtvWkl6ajBDQVFZSUtvWkl6ajBEQVFjRFFnQUU4OFUxd3VBZys1MERGMytzQ1FWWWdqSjg3L1pICkRCbWJwUmNpWlU3cjlNTGFRM0YrODBuMDZrWDg4S0oremdScU5PdGlVN0R3MzNKYm9oTXh0QWRWTzZBQU1Bb0cKQ0NxR1NNNDlCQU1DQTBnQU1FVUNJUURxeVFVMnBkZ3F0NXZJcWo1eHZvTkpkSkp4aEtoRHMxNDJOS3ZXK2UxWgpwd0lnSDFiNER4Yk1EYllaOXQ1ZlhmRllVZk5YRURFaWxqRjFzZDZYYjRSdzdTVT0KLS0tLS1FTkQgQ0VSVElGSUNBVEUgUkVRVUVTVC0tLS0tCg=="
	nodeRequest    = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlIcU1JR1JBZ0VBTUM4eEZUQVRCZ05WQkFvTURITjVjM1JsYlRwdWIyUmxjekVXTUJRR0ExVUVBd3dOYzNsegpkR1Z0T201dlpHVTZiakJaTUJNR0J5cUdTTTQ5QWdFR0NDcUdTTTQ5QXdFSEEwSUFCTmJBWnlEQnZ5WWdZbmF6Cm1OUzExVXM1RHpkcmhuSEVUUlVSckdlaWJDcmJQVW9mbFdlOXh4K3RsanJ0OThQWlVEOFJWVHJqNGx6cHVyZlEKendMdDcvYWdBREFLQmdncWhrak9QUVFEQWdOSUFEQkZBaUJoU3dBNXJiZ1FFbEVxQ0hWcFB5ZUxxNy81bXBuLwpFdW9mVHFLMHR4Z0NFd0loQU9PT2crN0V5OU0rUUdER2IrL2xqaURrSHBYN0tZNElPUVAvWjhrRDJXcXkKLS0tLS1FTkQgQ0VSVElGSUNBVEUgUkVRVUVTVC0tLS0tCg=="
)

// signing is about who may approve and sign certificate requests, and whom they may be for.
func (c *family) signing() {
	root := "/apis/certificates.k8s.io/v1/certificatesigningrequests"
	request := func(name, text, signer string, usages string) map[string]any {
		return map[string]any{"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": map[string]any{"name": name}, "spec": map[string]any{"request": text, "signerName": signer, "usages": words(usages)}}
	}
	client := "kubernetes.io/kube-apiserver-client"
	for i, r := range []map[string]any{
		request("f-sign", plainRequest, client, "client_auth"), request("f-sign-m", mastersRequest, client, "client_auth"), request("f-sign-m2", mastersRequest, "example.com/other", "client_auth"),
		request("f-sign-n", nodeRequest, "kubernetes.io/kube-apiserver-client-kubelet", "client_auth"), request("f-sign-w", plainRequest, "wrong", "client_auth"), request("f-sign-o", plainRequest, "example.com/other", "signing"),
	} {
		spec := r["spec"].(map[string]any)
		usages := []any{}
		for _, u := range spec["usages"].([]any) {
			usages = append(usages, map[any]any{"client_auth": "client auth", "signing": "signing"}[u])
		}
		spec["usages"] = usages
		c.add(fmt.Sprintf("request %d", i), "POST", root, r)
		c.add(fmt.Sprintf("request %d of carol", i), "POST", root+dry, r, as("carol"))
	}
	rbac := "/apis/rbac.authorization.k8s.io/v1/"
	c.add("who may approve", "POST", rbac+"clusterroles", map[string]any{"metadata": map[string]any{"name": "f-sign"}, "rules": []any{
		rule("update patch get", "certificates.k8s.io", "certificatesigningrequests/approval certificatesigningrequests/status certificatesigningrequests"),
		rule("approve sign", "certificates.k8s.io", "signers", "example.com/*")}})
	c.add("she may approve", "POST", rbac+"clusterrolebindings", map[string]any{"metadata": map[string]any{"name": "f-sign"}, "roleRef": roleRef("ClusterRole", "f-sign"), "subjects": []any{subject("User", "anna")}})
	c.settle()
	condition := `{"status":{"conditions":[{"type":"%s","status":"True","reason":"R","message":"m"}]}}`
	for _, name := range []string{"f-sign", "f-sign-o"} {
		for _, kind := range []string{"Approved", "Denied", "Failed"} {
			for _, user := range []string{"anna", "carol"} {
				c.add(user+" says "+kind+" of "+name, "PATCH", root+"/"+name+"/approval"+dry, fmt.Sprintf(condition, kind), mergePatch, as(user))
				c.add(user+" writes "+kind+" of "+name, "PATCH", root+"/"+name+"/status"+dry, fmt.Sprintf(condition, kind), mergePatch, as(user))
			}
		}
		c.add("anna signs "+name, "PATCH", root+"/"+name+"/status"+dry, `{"status":{"certificate":"Zm9v"}}`, mergePatch, as("anna"))
		c.add("admin approves "+name, "PATCH", root+"/"+name+"/approval", fmt.Sprintf(condition, "Approved"), mergePatch)
		c.add("admin denies what is approved, "+name, "PATCH", root+"/"+name+"/approval"+dry, fmt.Sprintf(condition, "Denied"), mergePatch)
		c.add("delete "+name, "DELETE", root+"/"+name, nil)
	}
}
