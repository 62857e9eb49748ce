package aggregate

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/json"
	"fmt"
	"net/http"

	"k8s.io/apimachinery/pkg/runtime/schema"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	documentmerge "k8s.io/kube-openapi/pkg/aggregator"
	"k8s.io/kube-openapi/pkg/openapiconv"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"github.com/floe-k8s/floe/internal/auth"
)

// documents2 is where a server has its OpenAPI document of version 2.
const documents2 = "/openapi/v2"

// reader is who asks for it, as upstream.
func reader() auth.User { return auth.User{Name: "system:aggregator"} }

// Described is a server's OpenAPI document of version 2. It is immutable.
type Described struct {
	source [sha256.Size]byte // of the document as it came, so that it is read once
	paths  []byte            // the part of it that is about the paths of the group and version, in JSON
	// Converted is the document as one of version 3 in JSON, of a server that has none; else nil. Hash tells it from others.
	Converted []byte
	Hash      string
}

// described asks the server of svc for its document of version 2; nil: it has none that can be read. One that does not answer has what it had. was is what it had before, convert says that it has no documents of
// version 3. What this server shows of it is no more than what is below its own group and version.
func (p *Proxy) described(ctx context.Context, client *http.Client, svc *apiregistrationv1.APIService, was *Described, convert bool) *Described {
	body, _, code, err := p.fetch(ctx, client, svc, reader(), documents2, "application/json")
	switch {
	case err != nil || code != http.StatusOK && code != http.StatusNotFound:
		return was
	case code == http.StatusNotFound:
		return nil
	}
	now := &Described{source: sha256.Sum256(body)}
	if was != nil && was.source == now.source && (was.Converted != nil) == convert {
		return was
	}
	p.reading.Lock() // one at a time, since each takes some tens of megabytes
	defer p.reading.Unlock()
	whole := &spec.Swagger{}
	if whole.UnmarshalJSON(body) != nil || whole.Paths == nil {
		return nil
	}
	if convert {
		if now.Converted, err = json.Marshal(openapiconv.ConvertV2ToV3(whole)); err != nil {
			return nil
		}
		now.Hash = fmt.Sprintf("%X", sha512.Sum512(now.Converted))
	}
	own := documentmerge.FilterSpecByPathsWithoutSideEffects(whole, []string{"/apis/" + svc.Spec.Group + "/" + svc.Spec.Version + "/"})
	if now.paths, err = json.Marshal(own); err != nil {
		return nil
	}
	return now
}

// before is what was last known of the document of a group and version.
func (a *Added) before(gv schema.GroupVersion) *Described {
	for i := range a.Versions {
		if a.Versions[i].GroupVersion == gv {
			return a.Versions[i].Described
		}
	}
	return nil
}

// Converted is the document of version 3 that was made for a server that has none, by its path, such as apis/GROUP/VERSION; nil: there is none.
func (a *Added) Converted(path string) *Described {
	if a == nil {
		return nil
	}
	for i := range a.Versions {
		if d := a.Versions[i].Described; d != nil && d.Converted != nil && "apis/"+a.Versions[i].String() == path {
			return d
		}
	}
	return nil
}

// Described says whether anything is known that Merge would add.
func (a *Added) Described(shown func(schema.GroupVersion) bool) bool {
	if a == nil {
		return false
	}
	for _, v := range a.Versions {
		if v.Described != nil && shown(v.GroupVersion) {
			return true
		}
	}
	return false
}

// Merge adds documents of version 2 to this server's own (JSON), those that are shown, by their places, and returns the whole and its hash. A path that is there stays
// as it is, and a definition or parameter of a name that means something else gets another, as upstream's aggregator does.
func (a *Added) Merge(own []byte, shown func(schema.GroupVersion) bool) (whole []byte, hash string, err error) {
	first := &spec.Swagger{}
	if err := first.UnmarshalJSON(own); err != nil {
		return nil, "", fmt.Errorf("this server's OpenAPI document: %w", err)
	}
	merged := *first
	merged.Paths, merged.Definitions, merged.Parameters = nil, nil, nil
	if err := documentmerge.MergeSpecsIgnorePathConflictRenamingDefinitionsAndParameters(&merged, first); err != nil {
		return nil, "", fmt.Errorf("this server's OpenAPI document: %w", err)
	}
	for _, v := range a.Versions {
		next := &spec.Swagger{}
		if v.Described == nil || !shown(v.GroupVersion) || next.UnmarshalJSON(v.Described.paths) != nil {
			continue
		}
		if err := documentmerge.MergeSpecsIgnorePathConflictRenamingDefinitionsAndParameters(&merged, next); err != nil {
			return nil, "", fmt.Errorf("the OpenAPI document of %s: %w", v.GroupVersion, err)
		}
	}
	if whole, err = json.Marshal(&merged); err != nil {
		return nil, "", fmt.Errorf("the OpenAPI document: %w", err)
	}
	return whole, fmt.Sprintf("%X", sha512.Sum512(whole)), nil
}
