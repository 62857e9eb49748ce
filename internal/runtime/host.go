package runtime

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/floe-k8s/floe/internal/runtime/cgroup"
)

// hostFacts is what this machine has and lacks, learned once.
type hostFacts struct {
	// Caps are the capabilities that floe itself has, by bit; a privileged container gets these.
	Caps uint64
	// LowestOOMScoreAdj is the least that a container may be given; -1000 with CAP_SYS_RESOURCE, else floe's own.
	LowestOOMScoreAdj int
	// AppArmor and SELinux say whether the kernel enforces them.
	AppArmor, SELinux bool
	// HugeTLB says whether huge pages can be limited.
	HugeTLB bool
	// Swap says whether swap can be limited.
	Swap bool
	// BootID tells one run of the machine from the next.
	BootID string
}

const capSysResource = 24

func learnHost(groups cgroup.Host) (hostFacts, error) {
	var h hostFacts
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return h, err
	}
	for line := range strings.Lines(string(status)) {
		if digits, ok := strings.CutPrefix(line, "CapEff:"); ok {
			if h.Caps, err = strconv.ParseUint(strings.TrimSpace(digits), 16, 64); err != nil {
				return h, fmt.Errorf("/proc/self/status: %w", err)
			}
		}
	}
	h.LowestOOMScoreAdj = -1000
	if h.Caps&(1<<capSysResource) == 0 {
		own, err := os.ReadFile("/proc/self/oom_score_adj")
		if err != nil {
			return h, err
		}
		if h.LowestOOMScoreAdj, err = strconv.Atoi(strings.TrimSpace(string(own))); err != nil {
			return h, fmt.Errorf("/proc/self/oom_score_adj: %w", err)
		}
	}
	enabled, _ := os.ReadFile("/sys/module/apparmor/parameters/enabled") // absent: no AppArmor
	h.AppArmor = strings.HasPrefix(string(enabled), "Y")
	_, err = os.Stat("/sys/fs/selinux/enforce")
	h.SELinux = err == nil
	h.HugeTLB = groups.V1["hugetlb"] != "" || groups.V2()
	_, err = os.Stat(filepath.Join(groups.V1["memory"], "memory.memsw.limit_in_bytes"))
	h.Swap = groups.V2() || err == nil
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	h.BootID = strings.TrimSpace(string(boot))
	return h, err
}

// armor is the host's AppArmor, nil when it has none.
func (h hostFacts) armor() appArmor {
	if !h.AppArmor {
		return nil
	}
	return hostArmor{}
}

// degraded lists, for people, what requests ask on this host and get less of.
func (h hostFacts) degraded() []string {
	var all []string
	if h.Caps&(1<<capSysResource) == 0 {
		all = append(all, fmt.Sprintf("no CAP_SYS_RESOURCE: oom_score_adj below %d is raised to it, privileged containers lack the capability", h.LowestOOMScoreAdj))
	}
	if !h.AppArmor {
		all = append(all, "no AppArmor: the runtime's default profile is not applied")
	} else if _, err := os.Stat(appArmorParser); err != nil {
		all = append(all, fmt.Sprintf("no %s: the runtime's default profile is not applied unless %s is loaded", appArmorParser, defaultProfile))
	}
	if !h.Swap {
		all = append(all, "swap is not counted by cgroup: limits of it are not applied")
	}
	if !h.SELinux {
		all = append(all, "no SELinux: labels are not applied")
	}
	return all
}
