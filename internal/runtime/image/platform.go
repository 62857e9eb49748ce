package image

import (
	"runtime"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// platform is an architecture of Linux with its variant, in the form that indexes have once normalized: amd64 and 386 have none, arm64 is v8.
type platform struct{ architecture, variant string }

// platforms lists what this machine runs, the best first, as containerd chooses.
func platforms(architecture string) []platform {
	switch architecture {
	case "amd64":
		return []platform{{"amd64", ""}, {"386", ""}}
	case "arm64":
		return []platform{{"arm64", "v8"}, {"arm", "v8"}, {"arm", "v7"}, {"arm", "v6"}, {"arm", "v5"}}
	}
	return []platform{{architecture, ""}}
}

func normalized(architecture, variant string) platform {
	switch architecture {
	case "x86_64", "x86-64":
		architecture = "amd64"
	case "aarch64":
		architecture = "arm64"
	case "i386":
		architecture = "386"
	}
	switch {
	case architecture == "amd64" && variant == "v1", architecture == "386":
		variant = ""
	case architecture == "arm64" && (variant == "" || variant == "8"):
		variant = "v8"
	case architecture == "arm" && (variant == "" || variant == "7"):
		variant = "v7"
	}
	return platform{architecture, variant}
}

// fitness says how well this machine runs an image: 0 is best, negative not at all. An image that does not say for what it is runs.
func fitness(os, architecture, variant string) int {
	if os != "" && os != "linux" {
		return -1
	}
	if architecture == "" {
		return 0
	}
	return slices.Index(platforms(runtime.GOARCH), normalized(architecture, variant))
}

// suited lists the entries of an index that this machine runs, the best first. Attestations and the like are none.
func suited(entries []v1.Descriptor) []v1.Descriptor {
	fit := func(d v1.Descriptor) int {
		switch {
		case d.Annotations["vnd.docker.reference.type"] != "":
			return -1
		case d.Platform == nil:
			return 0
		}
		return fitness(d.Platform.OS, d.Platform.Architecture, d.Platform.Variant)
	}
	all := slices.DeleteFunc(slices.Clone(entries), func(d v1.Descriptor) bool { return fit(d) < 0 })
	slices.SortStableFunc(all, func(a, b v1.Descriptor) int { return fit(a) - fit(b) })
	return all
}
