package plan

import (
	"fmt"
	"net/url"
	"strings"

	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/yaml"

	"github.com/floe-k8s/floe/test/peers/transcript"
)

func yamlText(object map[string]any) string {
	text, err := yaml.Marshal(object)
	if err != nil {
		panic(fmt.Sprintf("%v: %v", object, err)) // it came from YAML
	}
	return strings.TrimRight(string(text), "\n")
}

// accepted are the forms in which an object or a list may be had, and some that it may not.
var accepted = []string{
	"application/json;as=Table;v=v1;g=meta.k8s.io", "application/json;as=Table;v=v1beta1;g=meta.k8s.io",
	"application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io", "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
	"application/yaml", "application/vnd.kubernetes.protobuf", "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
	"application/cbor", "text/html", "application/json;as=Nothing;v=v1;g=meta.k8s.io", "application/json;as=Table;v=v7;g=meta.k8s.io",
}

// forms reads the first object and the list in each form.
func (c *script) forms() {
	get, list := c.one(), c.collection()
	c.add("get", "GET", get, nil, transcript.Show+": managedFields")
	for _, accept := range accepted {
		c.add("get as "+accept, "GET", get, nil, "Accept: "+accept)
		c.add("list as "+accept, "GET", c.ours(list), nil, "Accept: "+accept)
	}
	table := "Accept: application/json;as=Table;v=v1;g=meta.k8s.io"
	for _, include := range []string{"Object", "None", "Metadata", "Everything"} {
		c.add("table with "+include, "GET", joined(c.ours(list), "includeObject="+include), nil, table)
	}
	c.add("table of nothing", "GET", list+"?labelSelector=none%3Dnone", nil, table)
	c.add("table or JSON", "GET", get, nil, "Accept: application/json;as=Table;v=v1;g=meta.k8s.io,application/json")
	c.add("get pretty", "GET", get+"?pretty=true", nil)
}

// ours is a path of a list, with a selector that leaves out what the server has made by itself.
func (c *script) ours(list string) string {
	if c.Namespaced {
		return list
	}
	return list + "?labelSelector=app%3Dcorpus"
}

func joined(path, query string) string {
	if strings.Contains(path, "?") {
		return path + "&" + query
	}
	return path + "?" + query
}

// lists selects, pages and watches.
func (c *script) lists() {
	list := c.ours(c.collection())
	c.add("list", "GET", list, nil)
	if c.Namespaced {
		c.add("list of all namespaces", "GET", c.root()+"/"+c.Resource+"?labelSelector=app%3Dcorpus&fieldSelector=metadata.namespace%3D"+c.namespace(), nil)
		c.add("create in all namespaces", "POST", c.root()+"/"+c.Resource+dry, c.object(0))
	}
	c.add("page 1", "GET", joined(list, "limit=1"), nil)
	c.add("page 2", "GET", joined(list, "limit=1&continue=CONTINUE"), nil)
	c.add("page with a bad token", "GET", joined(list, "limit=1&continue=bad"), nil)
	for _, q := range []string{
		"resourceVersion=0", "resourceVersion=LASTVERSION", "resourceVersion=LASTVERSION&resourceVersionMatch=NotOlderThan", "resourceVersion=LISTVERSION&resourceVersionMatch=Exact",
		"resourceVersion=0&resourceVersionMatch=Exact", "resourceVersionMatch=Exact", "resourceVersion=abc", "resourceVersion=-1", "resourceVersion=5&resourceVersionMatch=Some",
		"limit=-1", "limit=many", "limit=1&continue=CONTINUE&resourceVersion=5", "timeoutSeconds=x", "watch=maybe&timeoutSeconds=1", "sendInitialEvents=true",
		"labelSelector=app%3Dcorpus", "labelSelector=app%21%3Dcorpus", "labelSelector=app+in+%28corpus%2Cother%29%2C%21none", "labelSelector=a+b", "labelSelector=app%3D%3D%3Dx",
		"labelSelector=a%21b%3Dc", "labelSelector=app%3D" + strings.Repeat("x", 64), "fieldSelector=metadata.name%3D" + c.name(0), "fieldSelector=metadata.name%21%3D" + c.name(0),
		"fieldSelector=metadata.name%3D" + c.name(0) + "%2Cmetadata.name%3Dother", "fieldSelector=metadata.name+in+%28a%29",
		"fieldSelector=metadata.namespace%3Ddefault", "fieldSelector=spec.nothing%3Dx", "fieldSelector=metadata.labels%3Dx", "fieldSelector=a%3Db%3Dc", "fieldSelector=x",
	} {
		c.add("list: "+q, "GET", joined(list, q), nil)
	}
	seen := sets.New[string]()
	for _, f := range c.Fields {
		name, value, _ := strings.Cut(f, "=")
		c.add("list: "+f, "GET", joined(list, "fieldSelector="+url.QueryEscape(f)), nil)
		if seen.Has(name) {
			continue
		}
		seen.Insert(name)
		c.add("list: "+name+"!="+value, "GET", joined(list, "fieldSelector="+url.QueryEscape(name+"!="+value)), nil)
		c.add("list: "+name+" another", "GET", joined(list, "fieldSelector="+url.QueryEscape(name+"=Another")), nil)
	}
	if c.has("watch") {
		c.watches(list)
	}
}

func (c *script) watches(list string) {
	const short = "watch=1&timeoutSeconds=1&"
	for _, q := range []string{
		"resourceVersion=LISTVERSION", "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true", "sendInitialEvents=true",
		"sendInitialEvents=true&resourceVersionMatch=NotOlderThan", "sendInitialEvents=false&resourceVersionMatch=NotOlderThan&resourceVersion=LISTVERSION", "resourceVersion=abc",
		"resourceVersion=LISTVERSION&resourceVersionMatch=NotOlderThan", "limit=1&resourceVersion=LISTVERSION", "fieldSelector=spec.nothing%3Dx", "labelSelector=a+b", "resourceVersion=0",
	} {
		c.add("watch: "+q, "GET", joined(list, short+q), nil)
	}
	c.add("watch of one", "GET", c.root()+"/watch"+strings.TrimPrefix(c.one(), c.root())+"?timeoutSeconds=1&resourceVersion=LISTVERSION", nil)
	c.add("watch as table", "GET", joined(list, short+"resourceVersion=0"), nil, "Accept: application/json;as=Table;v=v1;g=meta.k8s.io")
	c.add("watch metadata", "GET", joined(list, short+"resourceVersion=0"), nil, "Accept: application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io")
	c.add("watch in YAML", "GET", joined(list, short+"resourceVersion=0"), nil, "Accept: application/yaml")
}

// refusals are requests that no kind answers.
func (c *script) refusals() {
	none := c.collection() + "/none"
	c.add("get what is not there", "GET", none, nil)
	c.add("get what is not there as table", "GET", none, nil, "Accept: application/json;as=Table;v=v1;g=meta.k8s.io")
	c.add("get a bad name", "GET", c.collection()+"/Not_Valid", nil)
	c.add("delete what is not there", "DELETE", none, nil)
	c.add("patch what is not there", "PATCH", none, `{"metadata":{"labels":{"a":"b"}}}`, mergePatch)
	c.add("put what is not there", "PUT", none+dry, merged(c.object(0), meta("name", "none")))
	c.add("get a bad subresource", "GET", c.one()+"/nothing", nil)
	c.add("post to an object", "POST", c.one(), c.object(0))
	c.add("put to the collection", "PUT", c.collection(), c.object(0))
	c.add("patch the collection", "PATCH", c.collection(), `{}`, mergePatch)
	c.add("get at a version", "GET", c.one()+"?resourceVersion=LASTVERSION", nil)
	c.add("get at a bad version", "GET", c.one()+"?resourceVersion=abc", nil)
	c.add("head", "HEAD", c.one(), nil)
	c.add("options", "OPTIONS", c.one(), nil)
	if c.Namespaced {
		c.add("get in another namespace", "GET", c.root()+"/namespaces/default/"+c.Resource+"/"+c.name(0), nil)
		c.add("create in a namespace that is not there", "POST", c.root()+"/namespaces/not-there/"+c.Resource+dry, merged(c.object(0), meta("namespace", nil)))
		return
	}
	c.add("get in a namespace", "GET", c.root()+"/namespaces/default/"+c.Resource+"/"+c.name(0), nil)
}
