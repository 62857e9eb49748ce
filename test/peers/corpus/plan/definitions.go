package plan

import "fmt"

const (
	customGroup = "corpus.example.com"
	definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
	customSpace = "f-definitions"
)

// property is a part of a schema.
func property(kind string, more map[string]any) map[string]any {
	return merged(map[string]any{"type": kind}, more)
}

func properties(fields map[string]any, more map[string]any) map[string]any {
	return merged(map[string]any{"type": "object", "properties": fields}, more)
}

func rulesOf(list ...map[string]any) map[string]any {
	out := []any{}
	for _, r := range list {
		out = append(out, r)
	}
	return map[string]any{"x-kubernetes-validations": out}
}

// widgetSpec has a field of each sort.
func widgetSpec() map[string]any {
	return properties(map[string]any{
		"replicas": property("integer", map[string]any{"minimum": 0, "maximum": 10, "default": 1}), "color": property("string", map[string]any{"enum": words("red green blue"), "default": "red"}),
		"name": property("string", map[string]any{"pattern": "^[a-z]+$", "maxLength": 8, "minLength": 2}), "when": property("string", map[string]any{"format": "date-time"}), "wait": property("string", map[string]any{"format": "duration"}),
		"address": property("string", map[string]any{"format": "ipv4"}), "ratio": property("number", map[string]any{"multipleOf": 0.5, "exclusiveMinimum": true, "minimum": 0}), "port": map[string]any{"x-kubernetes-int-or-string": true},
		"tags": property("array", map[string]any{"items": property("string", nil), "x-kubernetes-list-type": "set", "maxItems": 3, "minItems": 1}),
		"ports": property("array", map[string]any{"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": words("port proto"), "maxItems": 5, "items": properties(map[string]any{
			"port": property("integer", map[string]any{"format": "int32"}), "proto": property("string", map[string]any{"default": "TCP"}), "note": property("string", nil)}, map[string]any{"required": words("port")})}),
		"options": property("object", map[string]any{"additionalProperties": property("integer", nil), "maxProperties": 2}), "free": property("object", map[string]any{"x-kubernetes-preserve-unknown-fields": true}),
		"template": property("object", map[string]any{"x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true}), "maybe": property("string", map[string]any{"nullable": true}), "on": property("boolean", map[string]any{"default": true}),
		"fixed":  property("string", merged(map[string]any{"maxLength": 10}, rulesOf(map[string]any{"rule": "self == oldSelf", "message": "fixed stays"}))),
		"atomic": properties(map[string]any{"a": property("string", nil), "b": property("string", nil)}, map[string]any{"x-kubernetes-map-type": "atomic"}),
		"low":    property("integer", nil), "high": property("integer", nil),
	}, merged(map[string]any{"required": words("name")}, rulesOf(
		map[string]any{"rule": "!has(self.low) || !has(self.high) || self.low <= self.high", "messageExpression": "'low above high of ' + self.name", "fieldPath": ".low", "reason": "FieldValueForbidden"},
		map[string]any{"rule": "!has(self.tags) || self.tags.all(t, t.size() < 5)", "message": "tags are short"})))
}

func definition(plural, kind string, spec map[string]any, versions ...any) map[string]any {
	return map[string]any{"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": map[string]any{"name": plural + "." + customGroup}, "spec": merged(map[string]any{
		"group": customGroup, "scope": "Namespaced", "names": map[string]any{"plural": plural, "singular": plural[:len(plural)-1], "kind": kind, "listKind": kind + "List"}, "versions": versions}, spec)}
}

func version(name string, stored bool, schema map[string]any, more map[string]any) map[string]any {
	return merged(map[string]any{"name": name, "served": true, "storage": stored, "schema": map[string]any{"openAPIV3Schema": schema}}, more)
}

// definitionsOf are definitions, good and bad, and the objects that they define.
func (c *family) definitionsOf() {
	c.namespace(customSpace, nil)
	schema := properties(map[string]any{"spec": widgetSpec(), "status": properties(map[string]any{"replicas": property("integer", nil), "phase": property("string", nil), "selector": property("string", nil)}, nil)}, nil)
	more := map[string]any{
		"subresources": map[string]any{"status": map[string]any{}, "scale": map[string]any{"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas", "labelSelectorPath": ".status.selector"}},
		"additionalPrinterColumns": []any{map[string]any{"name": "Color", "type": "string", "jsonPath": ".spec.color"}, map[string]any{"name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas", "description": "how many"},
			map[string]any{"name": "When", "type": "date", "jsonPath": ".spec.when", "priority": 1}, map[string]any{"name": "Port", "type": "string", "jsonPath": ".spec.ports[0].port"}},
		"selectableFields": []any{map[string]any{"jsonPath": ".spec.color"}, map[string]any{"jsonPath": ".spec.replicas"}},
	}
	old := version("v1beta1", false, properties(map[string]any{"spec": property("object", map[string]any{"x-kubernetes-preserve-unknown-fields": true})}, nil), map[string]any{"deprecated": true, "deprecationWarning": "use v1"})
	c.add("define widgets", "POST", definitions, definition("widgets", "Widget", map[string]any{"names": map[string]any{"shortNames": words("wd"), "categories": words("all toys")}}, version("v1", true, schema, more), old), managed)
	c.add("define gizmos", "POST", definitions, definition("gizmos", "Gizmo", map[string]any{"scope": "Cluster"}, version("v1", true, properties(map[string]any{"spec": property("object", map[string]any{"x-kubernetes-preserve-unknown-fields": true})}, nil), nil)))
	c.badDefinitions(schema)
	c.await("/apis/"+customGroup+"/v1", "widgets/scale")
	c.await("/apis/"+customGroup+"/v1", "gizmos")
	c.await("/openapi/v3", "apis/"+customGroup+"/v1")
	c.settle()
	for _, path := range []string{"/apis/" + customGroup, "/apis/" + customGroup + "/v1", "/apis/" + customGroup + "/v1beta1", "/apis/" + customGroup + "/v2", "/openapi/v3/apis/" + customGroup + "/v1", "/openapi/v3/apis/" + customGroup + "/v1beta1", definitions + "/widgets." + customGroup, definitions + "/gizmos." + customGroup + "/status"} {
		c.add("discover "+path, "GET", path, nil)
	}
	c.add("definitions as a table", "GET", definitions+"?fieldSelector=metadata.name%3Dwidgets."+customGroup, nil, "Accept: application/json;as=Table;v=v1;g=meta.k8s.io")
	c.widgets()
	c.changedDefinitions(schema, more)
	for _, plural := range []string{"widgets", "gizmos"} {
		c.add("undefine "+plural, "DELETE", definitions+"/"+plural+"."+customGroup+dry, nil)
	}
}

// widgets are custom objects.
func (c *family) widgets() {
	at := "/apis/" + customGroup + "/v1/namespaces/" + customSpace + "/widgets"
	widget := func(name string, spec map[string]any) map[string]any {
		return map[string]any{"apiVersion": customGroup + "/v1", "kind": "Widget", "metadata": map[string]any{"name": name, "labels": map[string]any{"app": "w"}}, "spec": merged(map[string]any{"name": "abc"}, spec)}
	}
	full := map[string]any{"replicas": 2, "color": "green", "when": "2020-01-01T00:00:00Z", "wait": "5s", "address": "10.0.0.1", "ratio": 1.5, "port": "http", "tags": words("a b"), "ports": []any{map[string]any{"port": 80}, map[string]any{"port": 80, "proto": "UDP", "note": "n"}}, "options": map[string]any{"x": 1},
		"free": map[string]any{"any": []any{1, "two"}}, "template": map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "x"}, "spec": map[string]any{}}, "maybe": nil, "fixed": "yes", "atomic": map[string]any{"a": "1"}, "low": 1, "high": 2, "unknown": "gone"}
	c.add("widget", "POST", at, widget("full", full), managed)
	c.add("small widget", "POST", at, widget("small", nil))
	for _, m := range mutants(map[string]any{"spec": full}, mutations, 150, nil) {
		object := widget("m", nil)
		object["spec"] = m.object["spec"]
		if spec, ok := object["spec"].(map[string]any); ok {
			object["spec"] = merged(map[string]any{"name": "abc"}, spec)
		}
		c.add("widget: "+m.name, "POST", at+dry, object)
		if len(m.name)%4 == 0 {
			c.add("strict widget: "+m.name, "POST", at+dry+"&fieldValidation=Strict", object)
		}
	}
	for i, spec := range []map[string]any{{"low": 5, "high": 2}, {"tags": words("abcdef a a")}, {"name": nil}, {"name": 5}, {"color": "pink"}, {"replicas": 11}, {"name": "A"}, {"ports": []any{map[string]any{"port": 1}, map[string]any{"port": 1}}}, {"ports": []any{map[string]any{"proto": "X"}}}, {"options": map[string]any{"a": 1, "b": 2, "c": 3}}, {"options": map[string]any{"a": "x"}}, {"ratio": 0.3}, {"ratio": 0}, {"when": "never"}, {"address": "x"}, {"wait": "long"}, {"port": true}, {"template": map[string]any{"kind": "X"}}, {"maybe": nil, "color": nil}, {"fixed": "waytoolongtobe"}} {
		c.add(fmt.Sprintf("bad widget %d", i), "POST", at+dry, widget("bad", spec))
		c.add(fmt.Sprintf("widget becomes bad %d", i), "PATCH", at+"/full"+dry, map[string]any{"spec": spec}, mergePatch)
		c.add(fmt.Sprintf("widget is applied bad %d", i), "PATCH", at+"/full"+dry+"&fieldManager=m&force=true", widget("full", spec), applyPatch)
	}
	table := "Accept: application/json;as=Table;v=v1;g=meta.k8s.io"
	c.add("get widget", "GET", at+"/full", nil, managed)
	for _, accept := range []string{"application/yaml", "application/vnd.kubernetes.protobuf", "application/cbor", "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io", "application/json;as=Table;v=v1;g=meta.k8s.io", "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"} {
		c.add("get widget as "+accept, "GET", at+"/full", nil, "Accept: "+accept)
	}
	c.add("list widgets", "GET", at, nil)
	c.add("table of widgets", "GET", at, nil, table)
	for _, q := range []string{"fieldSelector=spec.color%3Dgreen", "fieldSelector=spec.replicas%3D1", "fieldSelector=spec.color%21%3Dgreen", "fieldSelector=spec.name%3Dabc", "fieldSelector=status.phase%3Dx", "labelSelector=app%3Dw&limit=1", "limit=1&continue=CONTINUE", "watch=1&timeoutSeconds=1&resourceVersion=0&fieldSelector=spec.color%3Dred", "resourceVersion=0"} {
		c.add("list widgets by "+q, "GET", at+"?"+q, nil)
	}
	for _, list := range []string{"/apis/" + customGroup + "/v1beta1/namespaces/" + customSpace + "/widgets", "/apis/" + customGroup + "/v1/widgets", "/apis/" + customGroup + "/v1beta1/widgets?fieldSelector=spec.color%3Dgreen"} {
		c.add("list "+list, "GET", list, nil)
	}
	c.add("old widget", "GET", "/apis/"+customGroup+"/v1beta1/namespaces/"+customSpace+"/widgets/full", nil)
	c.add("create an old widget", "POST", "/apis/"+customGroup+"/v1beta1/namespaces/"+customSpace+"/widgets"+dry, merged(widget("old", nil), map[string]any{"apiVersion": customGroup + "/v1beta1"}))
	c.add("create a widget of the wrong version", "POST", "/apis/"+customGroup+"/v1beta1/namespaces/"+customSpace+"/widgets"+dry, widget("old", nil))
	c.add("merge patch", "PATCH", at+"/full", `{"spec":{"color":"blue","replicas":3,"unknown":"x"},"status":{"phase":"x"}}`, mergePatch, managed)
	c.add("json patch", "PATCH", at+"/full"+dry, `[{"op":"replace","path":"/spec/replicas","value":4},{"op":"remove","path":"/spec/options"}]`, jsonPatch)
	c.add("strategic patch", "PATCH", at+"/full"+dry, `{"spec":{"replicas":4}}`, strategic)
	c.add("fixed is changed", "PATCH", at+"/full"+dry, `{"spec":{"fixed":"no"}}`, mergePatch)
	c.add("fixed is removed", "PATCH", at+"/full"+dry, `{"spec":{"fixed":null}}`, mergePatch)
	c.add("put nothing new", "PUT", at+"/small", merged(widget("small", nil), meta("resourceVersion", "LASTVERSION")))
	c.add("put without a version", "PUT", at+"/small", widget("small", nil))
	for i, object := range []map[string]any{widget("full", map[string]any{"ports": []any{map[string]any{"port": 80, "note": "mine"}, map[string]any{"port": 443}}, "tags": words("c")}), widget("full", map[string]any{"atomic": map[string]any{"b": "2"}}), widget("applied", full)} {
		c.add(fmt.Sprintf("apply %d", i), "PATCH", at+"/"+object["metadata"].(map[string]any)["name"].(string)+"?fieldManager=applier", object, applyPatch, managed)
		c.add(fmt.Sprintf("apply %d by force", i), "PATCH", at+"/"+object["metadata"].(map[string]any)["name"].(string)+"?fieldManager=second&force=true", object, applyPatch, managed)
	}
	status := map[string]any{"status": map[string]any{"replicas": 2, "phase": "Ready", "selector": "app=w", "unknown": 1}}
	c.add("status", "PATCH", at+"/full/status", status, mergePatch, managed)
	c.add("status that is bad", "PATCH", at+"/full/status"+dry, `{"status":{"replicas":"two"}}`, mergePatch)
	c.add("status changes no spec", "PATCH", at+"/full/status"+dry, `{"spec":{"color":"red"},"metadata":{"labels":{"x":"y"}}}`, mergePatch)
	c.add("get status", "GET", at+"/full/status", nil)
	c.add("get scale", "GET", at+"/full/scale", nil)
	c.add("patch scale", "PATCH", at+"/full/scale", `{"spec":{"replicas":5}}`, mergePatch)
	c.add("put scale", "PUT", at+"/full/scale"+dry, `{"apiVersion":"autoscaling/v1","kind":"Scale","metadata":{"name":"full","namespace":"`+customSpace+`"},"spec":{"replicas":6}}`)
	c.add("scale beyond", "PATCH", at+"/full/scale"+dry, `{"spec":{"replicas":50}}`, mergePatch)
	c.add("get what was scaled", "GET", at+"/full", nil, managed)
	c.add("another part", "GET", at+"/full/none", nil)
	c.add("delete on trial", "DELETE", at+"/full"+dry, nil)
	c.add("delete", "DELETE", at+"/small", nil)
	c.add("carol's widgets", "GET", at, nil, as("carol"))
	gizmos := "/apis/" + customGroup + "/v1/gizmos"
	c.add("gizmo", "POST", gizmos, `{"apiVersion":"`+customGroup+`/v1","kind":"Gizmo","metadata":{"name":"g"},"spec":{"a":{"b":[1,2.5,"x",null]}},"gone":true}`)
	c.add("gizmo in a namespace", "POST", "/apis/"+customGroup+"/v1/namespaces/"+customSpace+"/gizmos", `{"apiVersion":"`+customGroup+`/v1","kind":"Gizmo","metadata":{"name":"h"}}`)
	c.add("gizmos", "GET", gizmos, nil, table)
	c.add("gizmo status", "GET", gizmos+"/g/status", nil)
	c.add("delete gizmos", "DELETE", gizmos, nil)
}

// changedDefinitions changes what widgets are while there are some.
func (c *family) changedDefinitions(schema, more map[string]any) {
	at := definitions + "/widgets." + customGroup
	for i, patch := range []any{
		map[string]any{"spec": map[string]any{"group": "other.example.com"}}, map[string]any{"spec": map[string]any{"scope": "Cluster"}}, map[string]any{"spec": map[string]any{"names": map[string]any{"plural": "others"}}}, map[string]any{"spec": map[string]any{"names": map[string]any{"kind": "Other"}}},
		map[string]any{"spec": map[string]any{"versions": []any{version("v2", true, schema, nil)}}}, map[string]any{"spec": map[string]any{"versions": []any{}}}, map[string]any{"spec": map[string]any{"conversion": map[string]any{"strategy": "Webhook"}}}, map[string]any{"spec": map[string]any{"preserveUnknownFields": true}}, meta("labels", map[string]any{"a": "b"}),
	} {
		c.add(fmt.Sprintf("definition becomes %d", i), "PATCH", at+dry, patch, mergePatch)
	}
	// Stricter than what is stored: ratcheting.
	spec := widgetSpec()
	fields := spec["properties"].(map[string]any)
	fields["color"] = property("string", map[string]any{"enum": words("red"), "default": "red"})
	fields["added"] = property("string", map[string]any{"default": "new"})
	fields["name"] = property("string", map[string]any{"maxLength": 2})
	status := schema["properties"].(map[string]any)["status"]
	c.add("stricter", "PATCH", at, map[string]any{"spec": map[string]any{"versions": []any{version("v1", true, properties(map[string]any{"spec": spec, "status": status}, nil), more), version("v1beta1", false, properties(map[string]any{"spec": property("object", map[string]any{"x-kubernetes-preserve-unknown-fields": true})}, nil), nil)}}}, mergePatch)
	c.await("/openapi/v3/apis/"+customGroup+"/v1", `"added"`)
	c.settle()
	objects := "/apis/" + customGroup + "/v1/namespaces/" + customSpace + "/widgets/full"
	c.add("what was stored has the default", "GET", objects, nil)
	c.add("what was wrong already may stay", "PATCH", objects, `{"spec":{"replicas":7}}`, mergePatch)
	c.add("what was wrong may not change", "PATCH", objects+dry, `{"spec":{"name":"wrong"}}`, mergePatch)
	c.add("new objects are held to it", "POST", "/apis/"+customGroup+"/v1/namespaces/"+customSpace+"/widgets"+dry, `{"apiVersion":"`+customGroup+`/v1","kind":"Widget","metadata":{"name":"n"},"spec":{"name":"ab","color":"green"}}`)
	c.add("delete widgets", "DELETE", "/apis/"+customGroup+"/v1/namespaces/"+customSpace+"/widgets", nil)
}

// badDefinitions are refused, each for something else.
func (c *family) badDefinitions(good map[string]any) {
	object := func(spec map[string]any) map[string]any { return properties(map[string]any{"spec": spec}, nil) }
	for i, schema := range []map[string]any{
		object(map[string]any{"required": true}), object(property("objekt", nil)), object(map[string]any{}), property("string", nil), object(property("array", nil)), object(property("array", map[string]any{"items": []any{}})), object(property("object", map[string]any{"properties": map[string]any{"a": property("string", nil)}, "additionalProperties": property("string", nil)})),
		object(property("string", map[string]any{"pattern": "("})), object(property("string", map[string]any{"default": 5})), object(property("integer", map[string]any{"default": 5, "maximum": 3})), object(property("string", map[string]any{"format": "odd"})), object(property("string", map[string]any{"nullable": true, "default": nil})),
		object(property("array", map[string]any{"items": property("string", nil), "x-kubernetes-list-type": "map"})), object(property("array", map[string]any{"items": properties(map[string]any{"k": property("string", nil)}, nil), "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": words("k")})), object(property("array", map[string]any{"items": property("object", nil), "x-kubernetes-list-type": "set"})), object(property("array", map[string]any{"items": property("string", nil), "x-kubernetes-list-type": "odd"})),
		object(property("string", map[string]any{"x-kubernetes-map-type": "atomic"})), object(property("string", map[string]any{"x-kubernetes-int-or-string": true})), object(property("object", map[string]any{"x-kubernetes-embedded-resource": true})), object(property("object", map[string]any{"x-kubernetes-preserve-unknown-fields": false})),
		object(map[string]any{"$ref": "#/x"}), object(property("object", map[string]any{"anyOf": []any{properties(map[string]any{"a": property("string", nil)}, nil)}})), object(property("object", map[string]any{"not": map[string]any{"type": "string"}})), object(property("array", map[string]any{"items": property("string", nil), "uniqueItems": true})), object(property("object", map[string]any{"dependencies": map[string]any{"a": words("b")}})),
		object(property("string", rulesOf(map[string]any{"rule": "self.x == 1"}))), object(property("string", rulesOf(map[string]any{"rule": "self =="}))), object(property("string", rulesOf(map[string]any{"rule": ""}))), object(property("string", rulesOf(map[string]any{"rule": "self == 'a'", "messageExpression": "5"}))), object(property("string", rulesOf(map[string]any{"rule": "self == 'a'", "reason": "Odd", "fieldPath": "x"}))),
		object(properties(map[string]any{"a": property("integer", nil)}, rulesOf(map[string]any{"rule": "self.a > 1", "messageExpression": "'a is ' + string(self.a)"}))), object(property("array", map[string]any{"items": properties(map[string]any{"l": property("array", map[string]any{"items": property("string", rulesOf(map[string]any{"rule": "self.matches('a.*b')"}))})}, nil)})), object(property("string", merged(rulesOf(map[string]any{"rule": "self == 'a'", "optionalOldSelf": true}), nil))), properties(map[string]any{"metadata": properties(map[string]any{"labels": property("object", nil)}, nil)}, nil),
		properties(map[string]any{"apiVersion": property("integer", nil)}, nil), merged(good, map[string]any{"x-kubernetes-preserve-unknown-fields": true}), object(property("object", map[string]any{"required": words("a a")})), object(property("string", map[string]any{"enum": []any{"a", "a", 5}})), object(property("string", map[string]any{"minLength": -1, "maxLength": -1})), object(property("number", map[string]any{"multipleOf": 0})),
		object(property("object", map[string]any{"x-kubernetes-odd": true})), object(property("object", map[string]any{"description": 5})), nil,
	} {
		v := version("v1", true, schema, nil)
		if schema == nil {
			delete(v, "schema")
		}
		c.add(fmt.Sprintf("bad schema %d", i), "POST", definitions+dry, definition("things", "Thing", nil, v))
	}
	simple := properties(nil, nil)
	for i, d := range []map[string]any{
		definition("things", "Thing", nil), definition("things", "Thing", nil, version("v1", false, simple, nil)), definition("things", "Thing", nil, version("v1", true, simple, nil), version("v2", true, simple, nil)), definition("things", "Thing", nil, version("v1", true, simple, nil), version("v1", false, simple, nil)), definition("things", "Thing", nil, version("V_1", true, simple, nil)),
		definition("things", "Thing", map[string]any{"scope": "Everywhere"}, version("v1", true, simple, nil)), definition("things", "Thing", map[string]any{"group": "Bad_Group"}, version("v1", true, simple, nil)), definition("things", "Thing", map[string]any{"names": map[string]any{"plural": "Things", "singular": "a b", "kind": "thing kind", "shortNames": words("A-"), "categories": words("B_")}}, version("v1", true, simple, nil)),
		definition("things", "Thing", map[string]any{"group": "things.k8s.io"}, version("v1", true, simple, nil)), merged(definition("things", "Thing", nil, version("v1", true, simple, nil)), meta("name", "wrong")), definition("things", "Thing", map[string]any{"conversion": map[string]any{"strategy": "Odd"}}, version("v1", true, simple, nil)),
		definition("things", "Thing", map[string]any{"conversion": map[string]any{"strategy": "Webhook", "webhook": map[string]any{"conversionReviewVersions": words("v9"), "clientConfig": map[string]any{"url": "http://x"}}}}, version("v1", true, simple, nil)), definition("things", "Thing", map[string]any{"preserveUnknownFields": true}, version("v1", true, simple, nil)),
		definition("things", "Thing", nil, version("v1", true, simple, map[string]any{"served": false})), definition("things", "Thing", nil, version("v1", true, simple, map[string]any{"deprecationWarning": "x"})), definition("things", "Thing", nil, version("v1", true, simple, map[string]any{"subresources": map[string]any{"scale": map[string]any{"specReplicasPath": "spec", "statusReplicasPath": ".spec.x[0]", "labelSelectorPath": "x"}}})),
		definition("things", "Thing", nil, version("v1", true, simple, map[string]any{"additionalPrinterColumns": []any{map[string]any{"name": "", "type": "odd", "format": "f", "jsonPath": "x["}}})), definition("things", "Thing", nil, version("v1", true, simple, map[string]any{"selectableFields": []any{map[string]any{"jsonPath": ".spec.none"}, map[string]any{"jsonPath": "x"}, map[string]any{"jsonPath": ".metadata.name"}}})),
		definition("things", "Thing", nil, version("v1", true, good, map[string]any{"selectableFields": []any{map[string]any{"jsonPath": ".spec.tags"}, map[string]any{"jsonPath": ".spec.color"}, map[string]any{"jsonPath": ".spec.color"}}})), definition("things", "Thing", map[string]any{"names": map[string]any{"kind": "Widget"}}, version("v1", true, simple, nil)),
	} {
		c.add(fmt.Sprintf("bad definition %d", i), "POST", definitions+dry, d)
	}
}
