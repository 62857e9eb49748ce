package kinds

import "k8s.io/apimachinery/pkg/api/validate/content"

// PathSegment says what of a name, or with prefix set of the beginning of one, cannot stand in a URL's path. It is the ValidName of kinds of which upstream
// asks no more.
func PathSegment(name string, prefix bool) []string {
	if prefix {
		return content.IsPathSegmentPrefix(name)
	}
	return content.IsPathSegmentName(name)
}
