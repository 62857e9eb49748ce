package critest

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// inContext changes a container's security context.
func inContext(change func(*runtimeapi.LinuxContainerSecurityContext)) func(*containerConfig) {
	return func(c *containerConfig) { change(c.Linux.SecurityContext) }
}

// securityCases are the rules of LinuxContainerSecurityContext.
var securityCases = []testCase{
	{"LinuxContainerSecurityContext/run_as_user, run_as_group and supplemental_groups are the process's, and told", func(s *suite) {
		_, id := s.sleeper(inContext(func(c *runtimeapi.LinuxContainerSecurityContext) {
			c.RunAsUser, c.RunAsGroup = &runtimeapi.Int64Value{Value: 1001}, &runtimeapi.Int64Value{Value: 1002}
			c.SupplementalGroups = []int64{1003}
		}))
		own := s.inside(id, "cat", "/proc/1/status")
		s.contains("status", own, "Uid:\t1001\t1001", "Gid:\t1002\t1002", "1003")
		u := s.status(id).GetUser().GetLinux()
		if u.GetUid() != 1001 || u.GetGid() != 1002 || !slices.Contains(u.GetSupplementalGroups(), 1003) {
			s.Errorf("told user %v", u)
		}
	}},
	{"LinuxContainerSecurityContext/run_as_username is looked up in the image", func(s *suite) {
		_, id := s.sleeper(inContext(func(c *runtimeapi.LinuxContainerSecurityContext) { c.RunAsUsername = "nobody" }))
		s.contains("status", s.inside(id, "cat", "/proc/1/status"), "Uid:\t65534\t", "Gid:\t65534\t")
	}},
	{"LinuxContainerSecurityContext/run_as_username that the image lacks must be an error", func(s *suite) {
		s.refuses("an unknown user name", inContext(func(c *runtimeapi.LinuxContainerSecurityContext) { c.RunAsUsername = "who-is-that" }))
	}},
	{"LinuxContainerSecurityContext/run_as_group without a user must be an error", func(s *suite) {
		s.refuses("a group without a user", inContext(func(c *runtimeapi.LinuxContainerSecurityContext) { c.RunAsGroup = &runtimeapi.Int64Value{Value: 1} }))
	}},
	{"LinuxContainerSecurityContext/readonly_rootfs", func(s *suite) {
		_, id := s.sleeper(inContext(func(c *runtimeapi.LinuxContainerSecurityContext) { c.ReadonlyRootfs = true }))
		s.contains("error", s.fails(id, "fill", "1", "/file"), "read-only file system")
		_, id = s.sleeper()
		s.inside(id, "fill", "1", "/file")
	}},
	{"LinuxContainerSecurityContext/no_new_privs", func(s *suite) {
		for _, on := range []bool{true, false} {
			_, id := s.sleeper(inContext(func(c *runtimeapi.LinuxContainerSecurityContext) { c.NoNewPrivs = on }))
			s.contains("status", s.inside(id, "cat", "/proc/1/status"), "NoNewPrivs:\t"+strconv.Itoa(map[bool]int{true: 1}[on]))
		}
	}},
	{"LinuxContainerSecurityContext/masked_paths and readonly_paths", func(s *suite) {
		_, id := s.sleeper(inContext(func(c *runtimeapi.LinuxContainerSecurityContext) {
			c.MaskedPaths, c.ReadonlyPaths = []string{"/proc/uptime"}, []string{"/proc/sys"}
		}))
		s.want("masked file", s.inside(id, "cat", "/proc/uptime"), "")
		s.contains("error", s.fails(id, "fill", "1", "/proc/sys/kernel/shm_rmid_forced"), "read-only file system")
	}},
	{"LinuxContainerSecurityContext/privileged has no seccomp, a writable /sys and the host's devices", func(s *suite) {
		pod, podConfig := s.pod(func(c *podConfig) { c.Linux.SecurityContext.Privileged = true })
		id := s.runIn(pod, podConfig, sleeping, inContext(func(c *runtimeapi.LinuxContainerSecurityContext) {
			c.Privileged = true
			c.Seccomp = &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_RuntimeDefault}
		}))
		s.contains("status", s.inside(id, "cat", "/proc/1/status"), "Seccomp:\t0")
		s.contains("mounts", s.inside(id, "cat", "/proc/1/mounts"), "sysfs /sys sysfs rw")
		if _, err := os.Stat("/dev/loop-control"); err == nil {
			s.inside(id, "links", "/dev/loop-control")
		}
	}},
	{"SecurityProfile/seccomp RuntimeDefault, Unconfined and Localhost", func(s *suite) {
		local := filepath.Join(s.dir, "profile.json")
		s.must(os.WriteFile(local, []byte(`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdirat"],"action":"SCMP_ACT_ERRNO"}]}`), 0o644))
		for kind, want := range map[runtimeapi.SecurityProfile_ProfileType]string{
			runtimeapi.SecurityProfile_RuntimeDefault: "2", runtimeapi.SecurityProfile_Unconfined: "0", runtimeapi.SecurityProfile_Localhost: "2",
		} {
			_, id := s.sleeper(inContext(func(c *runtimeapi.LinuxContainerSecurityContext) {
				c.Seccomp = &runtimeapi.SecurityProfile{ProfileType: kind}
				if kind == runtimeapi.SecurityProfile_Localhost {
					c.Seccomp.LocalhostRef = local
				}
			}))
			s.contains(kind.String(), s.inside(id, "cat", "/proc/1/status"), "Seccomp:\t"+want)
		}
		s.refuses("an absent profile", inContext(func(c *runtimeapi.LinuxContainerSecurityContext) {
			c.Seccomp = &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_Localhost, LocalhostRef: filepath.Join(s.dir, "absent.json")}
		}))
	}},
	{"Capability/added ones are in all sets but ambient, ambient ones in all, dropped ones in none", func(s *suite) {
		const netAdmin, sysTime, netRaw = 12, 25, 13
		_, id := s.sleeper(inContext(func(c *runtimeapi.LinuxContainerSecurityContext) {
			c.Capabilities = &runtimeapi.Capability{
				AddCapabilities: []string{"NET_ADMIN"}, AddAmbientCapabilities: []string{"SYS_TIME"}, DropCapabilities: []string{"NET_RAW"},
			}
		}))
		own := s.inside(id, "cat", "/proc/1/status")
		for set, want := range map[string][3]bool{
			"CapEff": {true, true, false}, "CapPrm": {true, true, false}, "CapBnd": {true, true, false}, "CapAmb": {false, true, false},
		} {
			mask := capabilitySet(own, set)
			s.want(set, [3]bool{mask&(1<<netAdmin) != 0, mask&(1<<sysTime) != 0, mask&(1<<netRaw) != 0}, want)
		}
	}},
	{"Capability/drop ALL leaves those added", func(s *suite) {
		_, id := s.sleeper(inContext(func(c *runtimeapi.LinuxContainerSecurityContext) {
			c.Capabilities = &runtimeapi.Capability{AddCapabilities: []string{"CHOWN"}, DropCapabilities: []string{"ALL"}}
		}))
		s.want("CapEff", capabilitySet(s.inside(id, "cat", "/proc/1/status"), "CapEff"), 1)
	}},
	{"SupplementalGroupsPolicy/groups asked are the process's by either policy", func(s *suite) {
		for _, policy := range []runtimeapi.SupplementalGroupsPolicy{runtimeapi.SupplementalGroupsPolicy_Strict, runtimeapi.SupplementalGroupsPolicy_Merge} {
			_, id := s.sleeper(inContext(func(c *runtimeapi.LinuxContainerSecurityContext) {
				c.RunAsUser, c.SupplementalGroupsPolicy, c.SupplementalGroups = &runtimeapi.Int64Value{Value: 65534}, policy, []int64{4242}
			}))
			if groups := s.status(id).GetUser().GetLinux().GetSupplementalGroups(); !slices.Contains(groups, 4242) {
				s.Errorf("%s: groups %v", policy, groups)
			}
			s.contains(policy.String(), s.inside(id, "cat", "/proc/1/status"), "4242")
		}
	}},
}

// userCases are the rules of UserNamespace, for a runtime whose default handler has the feature.
var userCases = []testCase{
	{"UserNamespace/mode POD maps the pod's IDs as asked, and the status tells so", func(s *suite) {
		pod, podConfig := s.pod(func(c *podConfig) { c.Linux.SecurityContext.NamespaceOptions.UsernsOptions = s.ownUsers() })
		id := s.runIn(pod, podConfig, sleeping, s.sameUsers())
		for _, name := range []string{"/proc/1/uid_map", "/proc/1/gid_map"} {
			s.want(name, strings.Join(strings.Fields(s.inside(id, "cat", name)), " "), "0 131072 65536")
		}
		s.inside(id, "fill", "1", "/new")
		s.want("mode told", s.podStatus(pod).GetLinux().GetNamespaces().GetOptions().GetUsernsOptions().GetMode(), runtimeapi.NamespaceMode_POD)
	}},
	{"UserNamespace/mode NODE is the host's", func(s *suite) {
		host := func(ns *runtimeapi.NamespaceOption) {
			ns.UsernsOptions = &runtimeapi.UserNamespace{Mode: runtimeapi.NamespaceMode_NODE}
		}
		pod, podConfig := s.pod(func(c *podConfig) { host(c.Linux.SecurityContext.NamespaceOptions) })
		id := s.runIn(pod, podConfig, sleeping, inContext(func(c *runtimeapi.LinuxContainerSecurityContext) { host(c.NamespaceOptions) }))
		own, err := os.ReadFile("/proc/self/uid_map")
		s.must(err)
		s.want("mapping", s.inside(id, "cat", "/proc/1/uid_map"), string(own))
	}},
	{"Mount/uidMappings and gidMappings map a mount's owners", func(s *suite) {
		s.must(os.WriteFile(filepath.Join(s.dir, "file"), []byte("of root"), 0o600))
		pod, podConfig := s.pod(func(c *podConfig) { c.Linux.SecurityContext.NamespaceOptions.UsernsOptions = s.ownUsers() })
		ids := s.ownUsers().Uids
		id := s.runIn(pod, podConfig, sleeping, s.sameUsers(), mounting(
			&runtimeapi.Mount{HostPath: s.dir, ContainerPath: "/mapped", UidMappings: ids, GidMappings: ids},
			&runtimeapi.Mount{HostPath: s.dir, ContainerPath: "/plain"},
		))
		s.want("mapped file", s.inside(id, "cat", "/mapped/file"), "of root")
		s.fails(id, "cat", "/plain/file")
	}},
}

// ownUsers asks for a user namespace, which the runtime must say that it has.
func (s *suite) ownUsers() *runtimeapi.UserNamespace {
	s.Helper()
	resp, err := s.runtime.Status(s.ctx, &runtimeapi.StatusRequest{})
	s.must(err)
	for _, h := range resp.RuntimeHandlers {
		if h.Name == "" && !h.GetFeatures().GetUserNamespaces() {
			s.Fatal("the default handler has no user namespaces")
		}
	}
	ids := []*runtimeapi.IDMapping{{HostId: 2 << 16, Length: 1 << 16}}
	return &runtimeapi.UserNamespace{Mode: runtimeapi.NamespaceMode_POD, Uids: ids, Gids: ids}
}

// sameUsers has a container ask for what its sandbox did.
func (s *suite) sameUsers() func(*containerConfig) {
	return inContext(func(c *runtimeapi.LinuxContainerSecurityContext) { c.NamespaceOptions.UsernsOptions = s.ownUsers() })
}

// refuses creates a container that must not be, now or when it is started.
func (s *suite) refuses(what string, change func(*containerConfig)) {
	s.Helper()
	pod, podConfig := s.pod()
	config := s.containerConfig("sleep", "forever")
	change(config)
	id, err := s.create(pod, podConfig, config)
	if err == nil {
		err = s.start(id)
	}
	s.refused(what, err)
}

func capabilitySet(status, name string) uint64 {
	_, rest, _ := strings.Cut(status, name+":\t")
	digits, _, _ := strings.Cut(rest, "\n")
	mask, err := strconv.ParseUint(digits, 16, 64)
	if err != nil {
		return 1 << 63 // no kernel's
	}
	return mask
}

// mountCases are the rules of Mount and Device.
var mountCases = []testCase{
	{"Mount/a host path is seen, through links, and written to unless readonly", func(s *suite) {
		s.must(os.MkdirAll(filepath.Join(s.dir, "real"), 0o777))
		s.must(os.Symlink("real", filepath.Join(s.dir, "link")))
		s.must(os.WriteFile(filepath.Join(s.dir, "real", "file"), []byte("from the host"), 0o644))
		_, id := s.sleeper(mounting(
			&runtimeapi.Mount{HostPath: filepath.Join(s.dir, "link"), ContainerPath: "/rw"},
			&runtimeapi.Mount{HostPath: filepath.Join(s.dir, "link"), ContainerPath: "/ro", Readonly: true},
		))
		s.contains("file", s.inside(id, "cat", "/ro/file"), "from the host")
		s.inside(id, "fill", "3", "/rw/new")
		s.contains("error", s.fails(id, "fill", "3", "/ro/new"), "read-only file system")
		_, err := os.Stat(filepath.Join(s.dir, "real", "new"))
		s.must(err)
	}},
	{"Mount/a host path that does not exist is an error", func(s *suite) {
		s.refuses("an absent host path", mounting(&runtimeapi.Mount{HostPath: filepath.Join(s.dir, "absent"), ContainerPath: "/x"}))
	}},
	{"Mount/recursive_read_only needs readonly and private propagation", func(s *suite) {
		s.refuses("recursive_read_only without readonly", mounting(&runtimeapi.Mount{HostPath: s.dir, ContainerPath: "/x", RecursiveReadOnly: true}))
	}},
	{"Mount/an image is mounted read-only, whole or in part", func(s *suite) {
		_, id := s.sleeper(mounting(
			&runtimeapi.Mount{ContainerPath: "/whole", Image: &runtimeapi.ImageSpec{Image: s.image().Id}},
			&runtimeapi.Mount{ContainerPath: "/part", Image: &runtimeapi.ImageSpec{Image: s.image().Id}, ImageSubPath: "etc"},
		))
		s.want("file", s.inside(id, "cat", "/part/passwd"), s.inside(id, "cat", "/whole/etc/passwd"))
		s.contains("error", s.fails(id, "fill", "1", "/whole/new"), "read-only file system")
	}},
	{"Mount/a path that the image lacks is an error", func(s *suite) {
		s.refuses("an absent path of an image", mounting(&runtimeapi.Mount{ContainerPath: "/x", Image: &runtimeapi.ImageSpec{Image: s.image().Id}, ImageSubPath: "no/such"}))
	}},
	{"Device/is made in the container with the permissions asked", func(s *suite) {
		_, id := s.sleeper(func(c *containerConfig) {
			c.Devices = []*runtimeapi.Device{{HostPath: "/dev/null", ContainerPath: "/dev/mine", Permissions: "rwm"}}
		})
		s.inside(id, "fill", "3", "/dev/mine")
		s.refuses("an absent device", func(c *containerConfig) {
			c.Devices = []*runtimeapi.Device{{HostPath: "/dev/no-such-device", ContainerPath: "/dev/x", Permissions: "r"}}
		})
	}},
	{"CDIDevice/an unknown one is an error", func(s *suite) {
		s.refuses("an unknown CDI device", func(c *containerConfig) { c.CDIDevices = []*runtimeapi.CDIDevice{{Name: "example.com/none=none"}} })
	}},
}

func mounting(mounts ...*runtimeapi.Mount) func(*containerConfig) {
	return func(c *containerConfig) { c.Mounts = mounts }
}
