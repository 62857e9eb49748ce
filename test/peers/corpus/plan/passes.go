package plan

import "fmt"

const passSpace = "f-passes"

// pod is one that everything lets in but what is said in spec.
func pod(name string, spec map[string]any) map[string]any {
	return map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": name},
		"spec": merged(map[string]any{"containers": []any{map[string]any{"name": "c", "image": "i:1"}}}, spec)}
}

// container is the only one of a pod.
func container(fields map[string]any) map[string]any {
	return map[string]any{"containers": []any{merged(map[string]any{"name": "c", "image": "i:1"}, fields)}}
}

func resources(kind string, amounts map[string]any) map[string]any {
	return map[string]any{"resources": map[string]any{kind: amounts}}
}

// passes are requests that each admission plug-in of upstream's default does something about, NodeRestriction's and webhooks' and policies' in families of their own.
func (c *family) passes() {
	c.namespace(passSpace, nil)
	c.limits()
	c.quotas()
	c.security()
	c.accounts()
	c.classes()
	c.protected()
	c.signing()
}

// limits are LimitRanger's.
func (c *family) limits() {
	const space = "f-passes-limits"
	c.namespace(space, nil)
	in := "/api/v1/namespaces/" + space
	c.add("limits", "POST", in+"/limitranges", map[string]any{"metadata": map[string]any{"name": "limits"}, "spec": map[string]any{"limits": []any{
		map[string]any{"type": "Container", "min": map[string]any{"cpu": "50m", "memory": "8Mi"}, "max": map[string]any{"cpu": "2", "memory": "1Gi"}, "default": map[string]any{"cpu": "500m"},
			"defaultRequest": map[string]any{"cpu": "100m", "memory": "16Mi"}, "maxLimitRequestRatio": map[string]any{"cpu": "4"}},
		map[string]any{"type": "Pod", "max": map[string]any{"cpu": "3", "memory": "2Gi"}, "min": map[string]any{"cpu": "60m"}, "maxLimitRequestRatio": map[string]any{"memory": "2"}},
		map[string]any{"type": "PersistentVolumeClaim", "min": map[string]any{"storage": "1Gi"}, "max": map[string]any{"storage": "5Gi"}},
	}}})
	c.settle()
	for i, spec := range []map[string]any{
		{}, container(resources("requests", map[string]any{"cpu": "10m"})), container(resources("limits", map[string]any{"cpu": "3"})), container(resources("limits", map[string]any{"cpu": "1", "memory": "2Gi"})),
		container(map[string]any{"resources": map[string]any{"requests": map[string]any{"cpu": "100m", "memory": "64Mi"}, "limits": map[string]any{"cpu": "1", "memory": "100Mi"}}}),
		container(map[string]any{"resources": map[string]any{"requests": map[string]any{"cpu": "500m", "memory": "64Mi"}, "limits": map[string]any{"cpu": "1", "memory": "100Mi"}}}),
		{"containers": []any{map[string]any{"name": "a", "image": "i", "resources": map[string]any{"limits": map[string]any{"cpu": "2", "memory": "1Gi"}}}, map[string]any{"name": "b", "image": "i", "resources": map[string]any{"limits": map[string]any{"cpu": "2", "memory": "1Gi"}}}}},
		{"initContainers": []any{map[string]any{"name": "first", "image": "i"}}}, {"initContainers": []any{map[string]any{"name": "first", "image": "i", "restartPolicy": "Always", "resources": map[string]any{"limits": map[string]any{"cpu": "2500m"}}}}},
		{"resources": map[string]any{"requests": map[string]any{"cpu": "1"}, "limits": map[string]any{"cpu": "4", "memory": "1Gi"}}},
	} {
		c.add(fmt.Sprintf("pod under limits %d", i), "POST", in+"/pods"+dry, pod("p", spec))
	}
	for _, size := range []string{"512Mi", "1Gi", "6Gi"} {
		c.add("claim of "+size, "POST", in+"/persistentvolumeclaims"+dry, claim("c", map[string]any{"resources": map[string]any{"requests": map[string]any{"storage": size}}}))
	}
	c.add("another limit", "POST", in+"/limitranges", map[string]any{"metadata": map[string]any{"name": "more"}, "spec": map[string]any{"limits": []any{
		map[string]any{"type": "Container", "max": map[string]any{"ephemeral-storage": "1Gi"}, "min": map[string]any{"example.com/foo": "2"}}}}})
	c.settle()
	c.add("pod under two limits", "POST", in+"/pods"+dry, pod("p", nil))
	c.add("pod beyond two limits", "POST", in+"/pods"+dry, pod("p", container(map[string]any{"resources": map[string]any{"limits": map[string]any{"cpu": "3", "ephemeral-storage": "2Gi", "example.com/foo": "1"}}})))
}

func claim(name string, spec map[string]any) map[string]any {
	return map[string]any{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": map[string]any{"name": name},
		"spec": merged(map[string]any{"accessModes": words("ReadWriteOnce"), "resources": map[string]any{"requests": map[string]any{"storage": "1Gi"}}}, spec)}
}

// quotas are ResourceQuota's. No controller counts, so that their status is written by hand.
func (c *family) quotas() {
	const space = "f-passes-quota"
	c.namespace(space, nil)
	in := "/api/v1/namespaces/" + space
	hard := map[string]any{"pods": "2", "requests.cpu": "1", "limits.memory": "1Gi", "configmaps": "2", "count/secrets": "1", "services.nodeports": "1", "services.loadbalancers": "0", "count/deployments.apps": "1",
		"requests.storage": "3Gi", "gold.storageclass.storage.k8s.io/requests.storage": "1Gi", "persistentvolumeclaims": "2"}
	quota := func(name string, spec map[string]any) map[string]any {
		return map[string]any{"apiVersion": "v1", "kind": "ResourceQuota", "metadata": map[string]any{"name": name}, "spec": spec}
	}
	used := func(name string, spec, used map[string]any) {
		hard := spec["hard"]
		c.add("status of "+name, "PUT", in+"/resourcequotas/"+name+"/status", merged(quota(name, spec), map[string]any{"status": map[string]any{"hard": hard, "used": used}}))
	}
	zeros := func(hard map[string]any) map[string]any {
		out := map[string]any{}
		for name := range hard {
			out[name] = "0"
		}
		return out
	}
	c.add("quota", "POST", in+"/resourcequotas", quota("all", map[string]any{"hard": hard}))
	c.settle()
	c.add("before it is counted", "POST", in+"/configmaps", meta("name", "early"))
	c.add("pod before it is counted", "POST", in+"/pods", pod("early", nil))
	used("all", map[string]any{"hard": hard}, zeros(hard))
	c.settle()
	for _, name := range []string{"a", "b", "c"} {
		c.add("configuration "+name, "POST", in+"/configmaps", meta("name", name))
		c.settle()
	}
	c.add("configuration on trial", "POST", in+"/configmaps"+dry, meta("name", "d"))
	c.add("quota after two", "GET", in+"/resourcequotas/all", nil)
	c.add("secret", "POST", in+"/secrets", meta("name", "a"))
	c.settle()
	c.add("secret more", "POST", in+"/secrets", meta("name", "b"))
	for i, spec := range []map[string]any{
		{}, container(resources("requests", map[string]any{"cpu": "100m"})), container(map[string]any{"resources": map[string]any{"requests": map[string]any{"cpu": "2"}, "limits": map[string]any{"memory": "2Gi"}}}),
		container(map[string]any{"resources": map[string]any{"requests": map[string]any{"cpu": "600m"}, "limits": map[string]any{"memory": "512Mi"}}}), container(map[string]any{"resources": map[string]any{"requests": map[string]any{"cpu": "500m"}, "limits": map[string]any{"memory": "512Mi"}}}),
	} {
		c.add(fmt.Sprintf("pod under quota %d", i), "POST", in+"/pods", pod(fmt.Sprintf("p%d", i), spec))
		c.settle()
	}
	c.add("a pod more of requests in place", "PATCH", in+"/pods/p3/resize", `{"spec":{"containers":[{"name":"c","resources":{"requests":{"cpu":"1500m"}}}]}}`, strategic)
	c.add("claims", "POST", in+"/persistentvolumeclaims", claim("a", map[string]any{"storageClassName": "gold"}))
	c.settle()
	c.add("claims of gold", "POST", in+"/persistentvolumeclaims", claim("b", map[string]any{"storageClassName": "gold"}))
	c.add("claims in all", "POST", in+"/persistentvolumeclaims", claim("b", map[string]any{"resources": map[string]any{"requests": map[string]any{"storage": "9Gi"}}, "storageClassName": "iron"}))
	service := func(kind string) map[string]any {
		return map[string]any{"metadata": map[string]any{"name": "s-" + map[string]string{"NodePort": "n", "LoadBalancer": "l", "ClusterIP": "c"}[kind]}, "spec": map[string]any{"type": kind, "ports": []any{map[string]any{"port": 80}}}}
	}
	for _, kind := range []string{"NodePort", "LoadBalancer", "ClusterIP"} {
		c.add("service of "+kind, "POST", in+"/services"+dry, service(kind))
	}
	c.add("deployment", "POST", "/apis/apps/v1/namespaces/"+space+"/deployments"+dry, map[string]any{"metadata": map[string]any{"name": "d"}, "spec": map[string]any{
		"selector": map[string]any{"matchLabels": map[string]any{"a": "b"}}, "template": map[string]any{"metadata": meta("labels", map[string]any{"a": "b"})["metadata"], "spec": pod("", nil)["spec"]}}})
	c.add("quota after all", "GET", in+"/resourcequotas/all", nil)
	c.add("delete a secret", "DELETE", in+"/secrets/a", nil)
	c.scoped()
}

// scoped are quotas of some pods only.
func (c *family) scoped() {
	const space = "f-passes-scopes"
	c.namespace(space, nil)
	in := "/api/v1/namespaces/" + space
	for _, q := range []struct {
		name string
		spec map[string]any
	}{
		{"besteffort", map[string]any{"hard": map[string]any{"pods": "0"}, "scopes": words("BestEffort")}}, {"terminating", map[string]any{"hard": map[string]any{"pods": "0", "requests.cpu": "0"}, "scopes": words("Terminating")}},
		{"high", map[string]any{"hard": map[string]any{"pods": "0"}, "scopeSelector": map[string]any{"matchExpressions": []any{map[string]any{"scopeName": "PriorityClass", "operator": "In", "values": words("system-cluster-critical f-high")}}}}},
		{"affine", map[string]any{"hard": map[string]any{"pods": "0"}, "scopes": words("CrossNamespacePodAffinity")}},
	} {
		hard := q.spec["hard"].(map[string]any)
		zero := map[string]any{}
		for name := range hard {
			zero[name] = "0"
		}
		object := map[string]any{"metadata": map[string]any{"name": q.name}, "spec": q.spec}
		c.add("quota "+q.name, "POST", in+"/resourcequotas", object)
		c.add("status of quota "+q.name, "PUT", in+"/resourcequotas/"+q.name+"/status", merged(object, map[string]any{"status": map[string]any{"hard": hard, "used": zero}}))
	}
	c.add("class f-high", "POST", "/apis/scheduling.k8s.io/v1/priorityclasses", map[string]any{"metadata": map[string]any{"name": "f-high"}, "value": 1000})
	c.settle()
	asks := container(resources("requests", map[string]any{"cpu": "1"}))
	affinity := map[string]any{"affinity": map[string]any{"podAffinity": map[string]any{"requiredDuringSchedulingIgnoredDuringExecution": []any{map[string]any{"topologyKey": "zone", "namespaces": words("other")}}}}}
	for i, spec := range []map[string]any{{}, asks, merged(asks, map[string]any{"activeDeadlineSeconds": 60}), merged(asks, map[string]any{"priorityClassName": "f-high"}), merged(asks, affinity), merged(asks, map[string]any{"priorityClassName": "system-cluster-critical"})} {
		c.add(fmt.Sprintf("pod of a scope %d", i), "POST", in+"/pods"+dry, pod("p", spec))
	}
}

// security is PodSecurity's.
func (c *family) security() {
	const label = "pod-security.kubernetes.io/"
	modes := func(enforce, audit, warn, version string) map[string]any {
		out := map[string]any{}
		for mode, level := range map[string]string{"enforce": enforce, "audit": audit, "warn": warn} {
			if level != "" {
				out[label+mode] = level
			}
		}
		if version != "" {
			out[label+"enforce-version"], out[label+"warn-version"] = version, version
		}
		return out
	}
	context := func(fields map[string]any) map[string]any {
		return container(map[string]any{"securityContext": fields})
	}
	restricted := map[string]any{"allowPrivilegeEscalation": false, "runAsNonRoot": true, "capabilities": map[string]any{"drop": words("ALL")}, "seccompProfile": map[string]any{"type": "RuntimeDefault"}}
	pods := []map[string]any{
		{}, context(restricted), context(map[string]any{"privileged": true}), context(merged(restricted, map[string]any{"runAsUser": 0})), context(merged(restricted, map[string]any{"capabilities": map[string]any{"add": words("NET_ADMIN NET_BIND_SERVICE")}})),
		context(map[string]any{"procMount": "Unmasked"}), context(map[string]any{"seccompProfile": map[string]any{"type": "Unconfined"}}), context(map[string]any{"seLinuxOptions": map[string]any{"user": "u", "type": "t"}}), context(map[string]any{"windowsOptions": map[string]any{"hostProcess": true}}),
		{"hostNetwork": true, "hostPID": true, "hostIPC": true}, {"volumes": []any{map[string]any{"name": "h", "hostPath": map[string]any{"path": "/x"}}}}, {"volumes": []any{map[string]any{"name": "n", "nfs": map[string]any{"server": "s", "path": "/x"}}, map[string]any{"name": "e", "emptyDir": map[string]any{}}}},
		{"securityContext": map[string]any{"sysctls": []any{map[string]any{"name": "kernel.msgmax", "value": "1"}}}}, container(map[string]any{"ports": []any{map[string]any{"containerPort": 80, "hostPort": 80}}}),
		merged(context(restricted), map[string]any{"os": map[string]any{"name": "windows"}}), container(map[string]any{"livenessProbe": map[string]any{"httpGet": map[string]any{"port": 80, "host": "example.com"}}}),
		{"initContainers": []any{map[string]any{"name": "i", "image": "i", "securityContext": map[string]any{"privileged": true}}}, "containers": []any{map[string]any{"name": "c", "image": "i", "securityContext": map[string]any{"privileged": true}}, map[string]any{"name": "d", "image": "i", "securityContext": map[string]any{"capabilities": map[string]any{"add": words("SYS_ADMIN")}}}}},
		{"hostUsers": false, "securityContext": map[string]any{"runAsNonRoot": false}}, {"securityContext": map[string]any{"appArmorProfile": map[string]any{"type": "Unconfined"}}},
	}
	for i, m := range []map[string]any{modes("restricted", "", "", ""), modes("baseline", "restricted", "restricted", ""), modes("privileged", "", "baseline", ""), modes("baseline", "", "restricted", "v1.20"), modes("wrong", "worse", "worst", "v9")} {
		space := fmt.Sprintf("f-passes-security-%d", i)
		c.namespace(space, m)
		c.settle()
		in := "/api/v1/namespaces/" + space
		for j, spec := range pods {
			c.add(fmt.Sprintf("pod %d under security %d", j, i), "POST", in+"/pods"+dry, pod("p", spec))
			if j%3 == 0 {
				c.add(fmt.Sprintf("deployment %d under security %d", j, i), "POST", "/apis/apps/v1/namespaces/"+space+"/deployments"+dry, map[string]any{"metadata": map[string]any{"name": "d"}, "spec": map[string]any{
					"selector": map[string]any{"matchLabels": map[string]any{"a": "b"}}, "template": map[string]any{"metadata": map[string]any{"labels": map[string]any{"a": "b"}}, "spec": pod("", spec)["spec"]}}})
				c.add(fmt.Sprintf("job %d under security %d", j, i), "POST", "/apis/batch/v1/namespaces/"+space+"/jobs"+dry, map[string]any{"metadata": map[string]any{"name": "j"}, "spec": map[string]any{
					"template": map[string]any{"spec": merged(pod("", spec)["spec"].(map[string]any), map[string]any{"restartPolicy": "Never"})}}})
			}
		}
		if i > 0 {
			continue
		}
		c.add("a pod that may be", "POST", in+"/pods", pod("ok", pods[1]))
		c.add("a shell that may not be", "PATCH", in+"/pods/ok/ephemeralcontainers"+dry, `{"spec":{"ephemeralContainers":[{"name":"e","image":"i","securityContext":{"privileged":true}}]}}`, strategic)
		c.add("a label of a pod that may be", "PATCH", in+"/pods/ok"+dry, meta("labels", map[string]any{"a": "b"}), mergePatch)
	}
	// Stricter namespaces warn of the pods that they have.
	const space = "f-passes-stricter"
	c.namespace(space, nil)
	in := "/api/v1/namespaces/" + space
	for i, j := range []int{0, 1, 9, 2} {
		c.add(fmt.Sprintf("pod %d there", i), "POST", in+"/pods", pod(fmt.Sprintf("p%d", i), pods[j]))
	}
	c.settle()
	for i, m := range []map[string]any{modes("restricted", "", "", ""), modes("baseline", "", "", ""), modes("privileged", "", "", ""), modes("wrong", "", "", ""), modes("restricted", "", "", "v1.24"), modes("restricted", "", "", "1.24"), {label + "enforced": "baseline"}} {
		c.add(fmt.Sprintf("stricter %d", i), "PATCH", in+dry, meta("labels", m), mergePatch)
		c.add(fmt.Sprintf("create stricter %d", i), "POST", "/api/v1/namespaces"+dry, merged(meta("name", "f-passes-new"), meta("labels", m)))
	}
}

// accounts are ServiceAccount's, and what else pods get.
func (c *family) accounts() {
	in := "/api/v1/namespaces/" + passSpace
	for _, a := range []map[string]any{{"metadata": map[string]any{"name": "quiet"}, "automountServiceAccountToken": false}, {"metadata": map[string]any{"name": "pulls"}, "imagePullSecrets": []any{map[string]any{"name": "registry"}}},
		{"metadata": map[string]any{"name": "strict", "annotations": map[string]any{"kubernetes.io/enforce-mountable-secrets": "true"}}, "secrets": []any{map[string]any{"name": "mine"}}}} {
		c.add(fmt.Sprintf("account %v", a["metadata"].(map[string]any)["name"]), "POST", in+"/serviceaccounts", a)
	}
	c.settle()
	tolerate := func(key, effect string) map[string]any {
		return map[string]any{"key": key, "operator": "Exists", "effect": effect, "tolerationSeconds": 5}
	}
	for i, spec := range []map[string]any{
		{}, {"serviceAccountName": "quiet"}, {"serviceAccountName": "pulls"}, {"serviceAccountName": "pulls", "imagePullSecrets": []any{map[string]any{"name": "own"}}}, {"serviceAccountName": "none"}, {"serviceAccount": "quiet"},
		{"serviceAccountName": "quiet", "automountServiceAccountToken": true}, {"automountServiceAccountToken": false}, {"serviceAccountName": "strict", "volumes": []any{map[string]any{"name": "s", "secret": map[string]any{"secretName": "other"}}}},
		{"serviceAccountName": "strict", "volumes": []any{map[string]any{"name": "s", "secret": map[string]any{"secretName": "mine"}}}}, merged(map[string]any{"serviceAccountName": "strict"}, container(map[string]any{"env": []any{map[string]any{"name": "E", "valueFrom": map[string]any{"secretKeyRef": map[string]any{"name": "other", "key": "k"}}}}})),
		{"serviceAccountName": "strict", "imagePullSecrets": []any{map[string]any{"name": "other"}}}, container(map[string]any{"volumeMounts": []any{map[string]any{"name": "t", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}}}),
		merged(map[string]any{"volumes": []any{map[string]any{"name": "t", "emptyDir": map[string]any{}}}}, container(map[string]any{"volumeMounts": []any{map[string]any{"name": "t", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}}})),
		{"tolerations": []any{tolerate("node.kubernetes.io/not-ready", "NoExecute")}}, {"tolerations": []any{tolerate("node.kubernetes.io/unreachable", ""), tolerate("", "")}}, {"tolerations": []any{map[string]any{"operator": "Exists"}}},
		{"priorityClassName": "f-none"}, {"priorityClassName": "system-node-critical"}, {"priority": 5}, {"priority": 2000001000, "priorityClassName": "system-node-critical"}, {"preemptionPolicy": "Never"}, {"priorityClassName": "f-high", "preemptionPolicy": "Never"},
		{"runtimeClassName": "f-none"}, {"runtimeClassName": "f-heavy"}, {"runtimeClassName": "f-heavy", "nodeSelector": map[string]any{"heavy": "no"}}, {"runtimeClassName": "f-heavy", "overhead": map[string]any{"cpu": "1"}}, {"overhead": map[string]any{"cpu": "1"}},
		{"nodeName": "f-none"}, {"nodeSelector": map[string]any{"a": "b"}}, merged(container(resources("limits", map[string]any{"example.com/gpu": "1"})), nil),
	} {
		if i == 0 {
			c.add("runtime class", "POST", "/apis/node.k8s.io/v1/runtimeclasses", map[string]any{"metadata": map[string]any{"name": "f-heavy"}, "handler": "heavy", "overhead": map[string]any{"podFixed": map[string]any{"cpu": "250m"}},
				"scheduling": map[string]any{"nodeSelector": map[string]any{"heavy": "yes"}, "tolerations": []any{tolerate("heavy", "NoExecute")}}})
			c.settle()
		}
		c.add(fmt.Sprintf("pod %d", i), "POST", in+"/pods"+dry, pod("p", spec))
		c.add(fmt.Sprintf("deployment of pod %d", i), "POST", "/apis/apps/v1/namespaces/"+passSpace+"/deployments"+dry, map[string]any{"metadata": map[string]any{"name": "d"}, "spec": map[string]any{
			"selector": map[string]any{"matchLabels": map[string]any{"a": "b"}}, "template": map[string]any{"metadata": map[string]any{"labels": map[string]any{"a": "b"}}, "spec": pod("", spec)["spec"]}}})
	}
	for i, p := range []map[string]any{{"name": "f-default", "globalDefault": true}, {"name": "f-default-2", "globalDefault": true}, {"name": "system-mine"}, {"name": "f-huge", "value": 1000000001}, {"name": "f-low", "value": -7, "preemptionPolicy": "Never"}} {
		name := p["name"]
		delete(p, "name")
		c.add(fmt.Sprintf("priority class %d", i), "POST", "/apis/scheduling.k8s.io/v1/priorityclasses", merged(map[string]any{"metadata": map[string]any{"name": name}, "value": 100 + i}, p))
		c.settle()
	}
	for i, spec := range []map[string]any{{}, {"priorityClassName": "f-low"}, {"priority": 100}, {"priorityClassName": "f-low", "preemptionPolicy": "PreemptLowerPriority"}} {
		c.add(fmt.Sprintf("pod with a default %d", i), "POST", in+"/pods"+dry, pod("p", spec))
	}
	for _, name := range []string{"f-default", "f-low"} {
		c.add("delete class "+name, "DELETE", "/apis/scheduling.k8s.io/v1/priorityclasses/"+name, nil)
	}
	c.settle()
}

// classes are the defaults of claims and ingresses, and what claims may become.
func (c *family) classes() {
	in := "/api/v1/namespaces/" + passSpace
	storage := "/apis/storage.k8s.io/v1/storageclasses"
	class := func(name string, isDefault string, more map[string]any) map[string]any {
		return merged(map[string]any{"metadata": map[string]any{"name": name, "annotations": map[string]any{"storageclass.kubernetes.io/is-default-class": isDefault}}, "provisioner": "example.com/p"}, more)
	}
	c.add("claim without classes", "POST", in+"/persistentvolumeclaims", claim("none", nil))
	c.add("grows", "POST", storage, class("f-grows", "false", map[string]any{"allowVolumeExpansion": true}))
	c.add("stays", "POST", storage, class("f-stays", "true", nil))
	c.settle()
	for _, spec := range []map[string]any{nil, {"storageClassName": ""}, {"storageClassName": "f-grows"}, {"volumeName": "v"}} {
		c.add(fmt.Sprintf("claim %v", spec), "POST", in+"/persistentvolumeclaims"+dry, claim("c", spec))
	}
	for _, of := range []string{"f-grows", "f-stays"} {
		at := in + "/persistentvolumeclaims/" + of
		c.add("claim of "+of, "POST", in+"/persistentvolumeclaims", claim(of, map[string]any{"storageClassName": of, "volumeName": "v"}))
		c.add("claim of "+of+" grows unbound", "PATCH", at, `{"spec":{"resources":{"requests":{"storage":"2Gi"}}}}`, mergePatch)
		c.add("claim of "+of+" is bound", "PATCH", at+"/status", `{"status":{"phase":"Bound","capacity":{"storage":"1Gi"}}}`, mergePatch)
		c.add("claim of "+of+" grows", "PATCH", at, `{"spec":{"resources":{"requests":{"storage":"3Gi"}}}}`, mergePatch)
		c.add("claim of "+of+" shrinks", "PATCH", at, `{"spec":{"resources":{"requests":{"storage":"1Mi"}}}}`, mergePatch)
	}
	c.add("two defaults", "POST", storage, class("f-also", "true", nil))
	c.settle()
	c.add("claim of two defaults", "POST", in+"/persistentvolumeclaims"+dry, claim("c", nil))
	c.add("old default", "POST", storage, map[string]any{"metadata": map[string]any{"name": "f-old", "annotations": map[string]any{"storageclass.beta.kubernetes.io/is-default-class": "true"}}, "provisioner": "x"})
	for _, name := range []string{"f-grows", "f-stays", "f-also", "f-old"} {
		c.add("delete class "+name, "DELETE", storage+"/"+name, nil)
	}
	networking := "/apis/networking.k8s.io/v1"
	ingress := func(spec map[string]any) map[string]any {
		return map[string]any{"metadata": map[string]any{"name": "i"}, "spec": merged(map[string]any{"defaultBackend": map[string]any{"service": map[string]any{"name": "s", "port": map[string]any{"number": 80}}}}, spec)}
	}
	ingressClass := func(name string) map[string]any {
		return map[string]any{"metadata": map[string]any{"name": name, "annotations": map[string]any{"ingressclass.kubernetes.io/is-default-class": "true"}}, "spec": map[string]any{"controller": "example.com/i"}}
	}
	tries := func(when string) {
		for _, spec := range []map[string]any{nil, {"ingressClassName": "f-none"}} {
			c.add(fmt.Sprintf("ingress of %v %s", spec, when), "POST", networking+"/namespaces/"+passSpace+"/ingresses"+dry, ingress(spec))
		}
		c.add("ingress of an annotation "+when, "POST", networking+"/namespaces/"+passSpace+"/ingresses"+dry, merged(ingress(nil), meta("annotations", map[string]any{"kubernetes.io/ingress.class": "x"})))
	}
	tries("without classes")
	for _, name := range []string{"f-one", "f-two"} {
		c.add("ingress class "+name, "POST", networking+"/ingressclasses", ingressClass(name))
		c.settle()
		tries("with " + name)
	}
	for _, name := range []string{"f-one", "f-two"} {
		c.add("delete ingress class "+name, "DELETE", networking+"/ingressclasses/"+name, nil)
	}
}

// protected are things in use, and namespaces that must stay.
func (c *family) protected() {
	in := "/api/v1/namespaces/" + passSpace
	c.add("volume", "POST", "/api/v1/persistentvolumes", map[string]any{"metadata": map[string]any{"name": "f-passes"}, "spec": map[string]any{"capacity": map[string]any{"storage": "1Gi"}, "accessModes": words("ReadWriteOnce"), "hostPath": map[string]any{"path": "/x"}}})
	c.add("delete the volume", "DELETE", "/api/v1/persistentvolumes/f-passes", nil)
	c.add("let the volume go", "PATCH", "/api/v1/persistentvolumes/f-passes", meta("finalizers", nil), mergePatch)
	c.add("claim", "GET", in+"/persistentvolumeclaims/none", nil)
	for _, name := range []string{"default", "kube-system", "kube-public", "kube-node-lease"} {
		c.add("delete namespace "+name, "DELETE", "/api/v1/namespaces/"+name, nil)
	}
	c.add("in no namespace", "POST", "/api/v1/namespaces/f-none/configmaps", meta("name", "a"))
	c.add("a pod in no namespace", "POST", "/api/v1/namespaces/f-none/pods", pod("p", nil))
	c.add("a namespace that goes", "POST", "/api/v1/namespaces", meta("name", "f-passes-going"))
	c.add("goes", "DELETE", "/api/v1/namespaces/f-passes-going", nil)
	c.settle()
	c.add("in what goes", "POST", "/api/v1/namespaces/f-passes-going/configmaps", meta("name", "a"))
	c.add("a review in what goes", "POST", "/apis/authorization.k8s.io/v1/namespaces/f-passes-going/localsubjectaccessreviews", map[string]any{"spec": map[string]any{"user": "x", "resourceAttributes": map[string]any{"namespace": "f-passes-going", "verb": "get", "resource": "pods"}}})
	c.add("a node", "POST", "/api/v1/nodes", meta("name", "f-passes"))
	c.add("a node with taints", "POST", "/api/v1/nodes"+dry, map[string]any{"metadata": map[string]any{"name": "f-passes-2"}, "spec": map[string]any{"taints": []any{map[string]any{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}, map[string]any{"key": "a", "effect": "NoExecute"}}}})
	c.add("delete the node", "DELETE", "/api/v1/nodes/f-passes", nil)
}
