package plan

import "fmt"

// nodes are requests of nodes, which NodeRestriction and the Node authorizer hold to what is theirs.
func (c *family) nodes() {
	const space = "f-nodes"
	c.namespace(space, nil)
	in := "/api/v1/namespaces/" + space
	mine, other := as("system:node:f-nodes-1"), as("system:node:f-nodes-2")
	for _, name := range []string{"f-nodes-1", "f-nodes-2"} {
		c.add("node "+name, "POST", "/api/v1/nodes", meta("name", name))
	}
	for _, name := range []string{"used", "unused"} {
		c.add("configuration "+name, "POST", in+"/configmaps", meta("name", name))
		c.add("secret "+name, "POST", in+"/secrets", meta("name", name))
		c.add("claim "+name, "POST", in+"/persistentvolumeclaims", claim(name, map[string]any{"storageClassName": "", "volumeName": "f-nodes-" + name}))
	}
	c.add("pod of the node", "POST", in+"/pods", pod("bound", map[string]any{"nodeName": "f-nodes-1", "volumes": []any{
		map[string]any{"name": "c", "configMap": map[string]any{"name": "used"}}, map[string]any{"name": "s", "secret": map[string]any{"secretName": "used"}}, map[string]any{"name": "p", "persistentVolumeClaim": map[string]any{"claimName": "used"}}}}))
	c.add("pod of the other", "POST", in+"/pods", pod("elsewhere", map[string]any{"nodeName": "f-nodes-2"}))
	c.add("pod of none", "POST", in+"/pods", pod("free", nil))
	c.settle()
	for _, kind := range []string{"configmaps", "secrets", "persistentvolumeclaims"} {
		for _, name := range []string{"used", "unused", "none"} {
			c.add("the node gets "+kind+" "+name, "GET", in+"/"+kind+"/"+name, nil, mine)
			c.add("the other gets "+kind+" "+name, "GET", in+"/"+kind+"/"+name, nil, other)
		}
		c.add("the node lists "+kind, "GET", in+"/"+kind, nil, mine)
		c.add("the node watches "+kind, "GET", in+"/"+kind+"?watch=1&timeoutSeconds=1&resourceVersion=0&fieldSelector=metadata.name%3Dunused", nil, mine)
		c.add("the node changes "+kind, "PATCH", in+"/"+kind+"/used"+dry, meta("labels", map[string]any{"a": "b"}), mergePatch, mine)
		c.add("the node deletes "+kind, "DELETE", in+"/"+kind+"/used"+dry, nil, mine)
	}
	node := func(name string, fields map[string]any) map[string]any {
		return merged(map[string]any{"apiVersion": "v1", "kind": "Node", "metadata": map[string]any{"name": name}}, fields)
	}
	c.add("another node", "POST", "/api/v1/nodes"+dry, node("f-nodes-3", nil), mine)
	c.add("itself with labels", "POST", "/api/v1/nodes"+dry, node("f-nodes-3", meta("labels", map[string]any{"node-restriction.kubernetes.io/a": "b", "kubernetes.io/hostname": "h", "a.kubernetes.io/x": "y", "kubelet.kubernetes.io/z": "1", "example.com/q": "1"})), as("system:node:f-nodes-3"))
	c.add("itself with a taint", "POST", "/api/v1/nodes"+dry, node("f-nodes-3", map[string]any{"spec": map[string]any{"taints": []any{map[string]any{"key": "a", "effect": "NoSchedule"}}}}), as("system:node:f-nodes-3"))
	c.add("itself with a source", "POST", "/api/v1/nodes"+dry, node("f-nodes-3", map[string]any{"spec": map[string]any{"configSource": map[string]any{"configMap": map[string]any{"name": "x", "namespace": "y", "kubeletConfigKey": "k"}}}}), as("system:node:f-nodes-3"))
	c.add("itself with owners", "POST", "/api/v1/nodes"+dry, node("f-nodes-3", meta("ownerReferences", []any{owner("a", true)})), as("system:node:f-nodes-3"))
	for i, patch := range []any{
		meta("labels", map[string]any{"example.com/q": "1"}), meta("labels", map[string]any{"node-restriction.kubernetes.io/a": "b"}), meta("labels", map[string]any{"topology.kubernetes.io/zone": "z", "node.kubernetes.io/x": "y"}), meta("labels", map[string]any{"foo.k8s.io/x": "y"}),
		map[string]any{"spec": map[string]any{"taints": []any{map[string]any{"key": "a", "effect": "NoSchedule"}}}}, map[string]any{"spec": map[string]any{"unschedulable": true}}, meta("ownerReferences", []any{owner("a", true)}), meta("annotations", map[string]any{"a": "b"}),
	} {
		for _, of := range []string{"f-nodes-1", "f-nodes-2"} {
			c.add(fmt.Sprintf("the node changes %s %d", of, i), "PATCH", "/api/v1/nodes/"+of+dry, patch, mergePatch, mine)
			c.add(fmt.Sprintf("the node changes the status of %s %d", of, i), "PATCH", "/api/v1/nodes/"+of+"/status"+dry, patch, mergePatch, mine)
		}
	}
	for _, path := range []string{"/api/v1/nodes", "/api/v1/nodes/f-nodes-1", "/api/v1/nodes/f-nodes-2", in + "/services", "/api/v1/pods?fieldSelector=spec.nodeName%3Df-nodes-1", "/api/v1/pods?fieldSelector=spec.nodeName%3Df-nodes-2", "/api/v1/pods",
		"/apis/storage.k8s.io/v1/csinodes/f-nodes-1", "/apis/storage.k8s.io/v1/csinodes/f-nodes-2", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/f-nodes-1", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/f-nodes-2",
		"/apis/certificates.k8s.io/v1/certificatesigningrequests/none", "/apis/resource.k8s.io/v1/resourceslices?fieldSelector=spec.nodeName%3Df-nodes-1", "/apis/resource.k8s.io/v1/resourceslices", "/apis/node.k8s.io/v1/runtimeclasses/none", "/api/v1/persistentvolumes/f-nodes-used", "/apis/storage.k8s.io/v1/volumeattachments/none", in + "/serviceaccounts/default", in + "/endpoints/e"} {
		c.add("the node gets "+path, "GET", joined(path, "limit=1"), nil, mine)
	}
	c.add("the node gets its pods", "GET", "/api/v1/nodes?fieldSelector=metadata.name%3Df-nodes-1", nil, mine)
	for _, of := range []string{"bound", "elsewhere", "free"} {
		at := in + "/pods/" + of
		c.add("the node reports "+of, "PATCH", at+"/status"+dry, `{"status":{"phase":"Running"}}`, mergePatch, mine)
		c.add("the node labels "+of, "PATCH", at+"/status"+dry, `{"metadata":{"labels":{"a":"b"}}}`, mergePatch, mine)
		c.add("the node claims for "+of, "PATCH", at+"/status"+dry, `{"status":{"resourceClaimStatuses":[{"name":"x","resourceClaimName":"y"}]}}`, mergePatch, mine)
		c.add("the node changes "+of, "PATCH", at+dry, `{"metadata":{"labels":{"a":"b"}}}`, mergePatch, mine)
		c.add("the node deletes "+of, "DELETE", at+dry, nil, mine)
		c.add("the node evicts "+of, "POST", at+"/eviction"+dry, map[string]any{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": map[string]any{"name": of}}, mine)
		c.add("the node binds "+of, "POST", at+"/binding"+dry, `{"target":{"kind":"Node","name":"f-nodes-1"}}`, mine)
		c.add("the node logs "+of, "GET", at+"/log", nil, mine)
	}
	mirror := func(name string, more map[string]any) map[string]any {
		return merged(merged(pod(name, map[string]any{"nodeName": "f-nodes-1"}), meta("annotations", map[string]any{"kubernetes.io/config.mirror": "x"})), more)
	}
	uid := map[string]any{"apiVersion": "v1", "kind": "Node", "name": "f-nodes-1", "uid": "wrong", "controller": true}
	for i, p := range []map[string]any{mirror("m", nil), mirror("m", meta("ownerReferences", []any{uid})), mirror("m", map[string]any{"spec": map[string]any{"nodeName": "f-nodes-2"}}), pod("m", map[string]any{"nodeName": "f-nodes-1"}), mirror("m", map[string]any{"spec": map[string]any{"serviceAccountName": "default"}}),
		mirror("m", map[string]any{"spec": map[string]any{"volumes": []any{map[string]any{"name": "s", "secret": map[string]any{"secretName": "used"}}}}}), mirror("m", meta("labels", map[string]any{"a": "b"}))} {
		c.add(fmt.Sprintf("the node creates a pod %d", i), "POST", in+"/pods"+dry, p, mine)
		c.add(fmt.Sprintf("admin creates such a pod %d", i), "POST", in+"/pods"+dry, p)
	}
	lease := func(name string) map[string]any {
		return map[string]any{"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": map[string]any{"name": name}}
	}
	for _, t := range [][2]string{{"kube-node-lease", "f-nodes-1"}, {"kube-node-lease", "f-nodes-2"}, {space, "f-nodes-1"}} {
		c.add("lease "+t[1]+" in "+t[0], "POST", "/apis/coordination.k8s.io/v1/namespaces/"+t[0]+"/leases"+dry, lease(t[1]), mine)
	}
	for _, name := range []string{"f-nodes-1", "f-nodes-2"} {
		c.add("CSI node "+name, "POST", "/apis/storage.k8s.io/v1/csinodes"+dry, map[string]any{"apiVersion": "storage.k8s.io/v1", "kind": "CSINode", "metadata": map[string]any{"name": name}, "spec": map[string]any{"drivers": []any{}}}, mine)
		c.add("resource slice of "+name, "POST", "/apis/resource.k8s.io/v1/resourceslices"+dry, map[string]any{"apiVersion": "resource.k8s.io/v1", "kind": "ResourceSlice", "metadata": map[string]any{"name": "f-" + name}, "spec": map[string]any{"driver": "d.example.com", "nodeName": name, "pool": map[string]any{"name": "p", "resourceSliceCount": 1, "generation": 1}}}, mine)
	}
	token := func(bound any) map[string]any {
		return map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": map[string]any{"boundObjectRef": bound}}
	}
	for i, bound := range []any{nil, map[string]any{"kind": "Pod", "apiVersion": "v1", "name": "bound"}, map[string]any{"kind": "Pod", "apiVersion": "v1", "name": "bound", "uid": "wrong"}, map[string]any{"kind": "Pod", "apiVersion": "v1", "name": "elsewhere", "uid": "x"}, map[string]any{"kind": "Secret", "apiVersion": "v1", "name": "used"}, map[string]any{"kind": "Node", "apiVersion": "v1", "name": "f-nodes-1"}} {
		c.add(fmt.Sprintf("the node's token %d", i), "POST", in+"/serviceaccounts/default/token", token(bound), mine)
		c.add(fmt.Sprintf("the other's token %d", i), "POST", in+"/serviceaccounts/default/token", token(bound), other)
	}
	for _, name := range []string{"f-nodes-1", "f-nodes-2"} {
		c.add("the node deletes "+name, "DELETE", "/api/v1/nodes/"+name+dry, nil, mine)
		c.add("admin deletes "+name, "DELETE", "/api/v1/nodes/"+name, nil)
	}
}
