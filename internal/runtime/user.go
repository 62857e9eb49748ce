package runtime

import (
	"errors"
	"io/fs"
	"math"
	"slices"
	"strconv"
	"strings"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/floe-k8s/floe/internal/runtime/image"
)

// identity is who a container's first process is.
type identity struct {
	UID    uint32   `json:"uid"`
	GID    uint32   `json:"gid"`
	Groups []uint32 `json:"groups,omitempty"`
}

func (i identity) groups64() []int64 {
	var all []int64
	for _, g := range i.Groups {
		all = append(all, int64(g))
	}
	return all
}

// resolveUser finds the identity that the request asks, or else the image. Names are looked up in the image's own files.
func (r *Runtime) resolveUser(sc *runtimeapi.LinuxContainerSecurityContext, img *image.Image, imageUser string) (identity, error) {
	if sc.GetRunAsGroup() != nil && sc.GetRunAsUser() == nil && sc.GetRunAsUsername() == "" {
		return identity{}, invalid("user group %d is specified without user", sc.GetRunAsGroup().GetValue())
	}
	if sc.GetRunAsUser() != nil && sc.GetRunAsUsername() != "" {
		return identity{}, invalid("both a user ID and a user name are specified")
	}
	user, group, _ := strings.Cut(imageUser, ":")
	switch {
	case sc.GetRunAsUser() != nil:
		user, group = strconv.FormatInt(sc.GetRunAsUser().GetValue(), 10), ""
	case sc.GetRunAsUsername() != "":
		user, group = sc.GetRunAsUsername(), ""
	}
	if sc.GetRunAsGroup() != nil {
		group = strconv.FormatInt(sc.GetRunAsGroup().GetValue(), 10)
	}
	passwd, err := r.readLines(img, "etc/passwd")
	if err != nil {
		return identity{}, err
	}
	groups, err := r.readLines(img, "etc/group")
	if err != nil {
		return identity{}, err
	}
	id, name, err := pickUser(passwd, user)
	if err != nil {
		return id, err
	}
	if group != "" {
		if id.GID, err = pickGroup(groups, group); err != nil {
			return id, err
		}
	}
	id.Groups = []uint32{id.GID}
	if sc.GetSupplementalGroupsPolicy() == runtimeapi.SupplementalGroupsPolicy_Merge {
		id.Groups = append(id.Groups, memberships(groups, name)...)
	}
	for _, g := range sc.GetSupplementalGroups() {
		if g < 0 || g > math.MaxInt32 {
			return id, invalid("supplemental group %d is no group ID", g)
		}
		id.Groups = append(id.Groups, uint32(g))
	}
	slices.Sort(id.Groups)
	id.Groups = slices.Compact(id.Groups)
	return id, nil
}

// readLines reads a file of colon-separated fields from an image; a missing one has none.
func (r *Runtime) readLines(img *image.Image, name string) ([][]string, error) {
	data, err := r.images.ReadFile(img, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var lines [][]string
	for line := range strings.Lines(string(data)) {
		if f := strings.Split(strings.TrimSpace(line), ":"); len(f) >= 3 {
			lines = append(lines, f)
		}
	}
	return lines, nil
}

// pickUser finds a user by name or number ("" is 0) and returns it with its primary group and its name. Only a number may be unknown.
func pickUser(passwd [][]string, user string) (identity, string, error) {
	if user == "" {
		user = "0"
	}
	number, numeric := parseID(user)
	for _, f := range passwd {
		uid, ok := parseID(f[2])
		if !ok || len(f) < 4 || (f[0] != user && !(numeric && uid == number)) {
			continue
		}
		gid, ok := parseID(f[3])
		if !ok {
			return identity{}, "", invalid("user %q: the image's /etc/passwd has group %q for it", user, f[3])
		}
		return identity{UID: uid, GID: gid}, f[0], nil
	}
	if !numeric {
		return identity{}, "", invalid("unable to find user %s: no matching entries in passwd file", user)
	}
	return identity{UID: number}, "", nil
}

func pickGroup(groups [][]string, group string) (uint32, error) {
	if number, ok := parseID(group); ok {
		return number, nil
	}
	for _, f := range groups {
		if gid, ok := parseID(f[2]); ok && f[0] == group {
			return gid, nil
		}
	}
	return 0, invalid("unable to find group %s: no matching entries in group file", group)
}

// memberships lists the groups whose members include the named user.
func memberships(groups [][]string, name string) []uint32 {
	var all []uint32
	for _, f := range groups {
		if len(f) < 4 || name == "" || !slices.Contains(strings.Split(f[3], ","), name) {
			continue
		}
		if gid, ok := parseID(f[2]); ok {
			all = append(all, gid)
		}
	}
	return all
}

func parseID(s string) (uint32, bool) {
	n, err := strconv.ParseUint(s, 10, 31)
	return uint32(n), err == nil
}
