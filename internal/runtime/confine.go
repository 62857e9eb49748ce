package runtime

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// appArmor is what this host has of AppArmor.
type appArmor interface {
	// Loaded says whether the kernel knows a profile of that name.
	Loaded(name string) (bool, error)
	// Default makes sure that the runtime's own profile is loaded, and names it; "" when this host cannot load one.
	Default() (string, error)
}

// confinement decides on the AppArmor profile of a container; "" for none. armor is nil on a host without AppArmor, where only who asks for a profile of
// the host's is refused. Errors have containerd's words.
func confinement(sc *runtimeapi.LinuxContainerSecurityContext, armor appArmor) (string, error) {
	kind, name, err := appArmorProfile(sc)
	switch {
	case err != nil:
		return "", err
	case armor == nil && kind == runtimeapi.SecurityProfile_Localhost:
		return "", unsupported("failed to generate apparmor spec opts: apparmor is not supported")
	case kind != runtimeapi.SecurityProfile_Localhost && name != "":
		return "", invalid("failed to generate apparmor spec opts: apparmor config invalid LocalhostRef must only be set if ProfileType is Localhost")
	case armor == nil, kind == runtimeapi.SecurityProfile_Unconfined:
		return "", nil
	case kind == runtimeapi.SecurityProfile_Localhost:
		return loadedProfile(armor, name)
	case sc.GetPrivileged():
		return "", nil
	}
	profile, err := armor.Default()
	if err != nil {
		return "", fmt.Errorf("failed to generate apparmor spec opts: %w", err)
	}
	return profile, nil
}

func loadedProfile(armor appArmor, name string) (string, error) {
	if name == "" {
		return "", invalid("failed to generate apparmor spec opts: failed to generate apparmor spec opts: nil apparmor profile is not supported")
	}
	known, err := armor.Loaded(name)
	if err != nil {
		return "", fmt.Errorf("failed to generate apparmor spec opts: failed to generate apparmor spec opts: %w", err)
	}
	if !known {
		return "", invalid("failed to generate apparmor spec opts: apparmor profile not found %s", name)
	}
	return name, nil
}

// appArmorProfile reads the field or its deprecated form.
func appArmorProfile(sc *runtimeapi.LinuxContainerSecurityContext) (runtimeapi.SecurityProfile_ProfileType, string, error) {
	if p := sc.GetApparmor(); p != nil {
		return p.GetProfileType(), strings.TrimPrefix(p.GetLocalhostRef(), "localhost/"), nil
	}
	//lint:ignore SA1019 the deprecated form is still sent
	switch old := sc.GetApparmorProfile(); {
	case strings.HasPrefix(old, "localhost/"):
		return runtimeapi.SecurityProfile_Localhost, strings.TrimPrefix(old, "localhost/"), nil
	case old == "unconfined":
		return runtimeapi.SecurityProfile_Unconfined, "", nil
	case old == "", old == "runtime/default", old == "docker/default":
		return runtimeapi.SecurityProfile_RuntimeDefault, "", nil
	default:
		return 0, "", invalid("failed to generate apparmor spec opts: invalid seccomp profile %q", old)
	}
}

// selinuxLevel is a range of sensitivities with categories: s0, s0:c1,c5, s0-s0:c0.c1023.
var selinuxLevel = regexp.MustCompile(`^s\d(-s\d)??(:c\d{1,4}(\.c\d{1,4})?(,c\d{1,4}(\.c\d{1,4})?)*)?$`)

// checkSELinux refuses labels that are none, and those that an SELinux host would have to enforce. A host without SELinux has no use for them.
func checkSELinux(options *runtimeapi.SELinuxOption, enforced bool) error {
	if level := options.GetLevel(); level != "" && !selinuxLevel.MatchString(level) {
		return invalid("the format of 'level' %q is not correct", level)
	}
	if enforced && options != nil {
		return unsupported("SELinux labels are not supported by this release, and this host enforces them")
	}
	return nil
}

// hostArmor is the AppArmor of this machine's kernel.
type hostArmor struct{}

var _ appArmor = hostArmor{}

// appArmorProfiles lists the profiles that the kernel knows, each as NAME (MODE).
const appArmorProfiles = "/sys/kernel/security/apparmor/profiles"

func (hostArmor) Loaded(name string) (bool, error) {
	f, err := os.Open(appArmorProfiles)
	if err != nil {
		return false, err
	}
	defer f.Close()
	return listed(bufio.NewScanner(f), name)
}

func listed(lines *bufio.Scanner, name string) (bool, error) {
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), name+" (") {
			return true, nil
		}
	}
	return false, lines.Err()
}

// defaultProfile is the name of the runtime's own profile. An administrator's of that name is used as it is.
const defaultProfile = "floe-default"

// profileText lets a container do what it may do in its namespaces, but for mounts and for what in /proc and /sys is the machine's.
const profileText = `profile ` + defaultProfile + ` flags=(attach_disconnected,mediate_deleted) {
  network,
  capability,
  file,
  umount,
  deny mount,
  signal (receive) peer=unconfined,
  signal (send,receive) peer=` + defaultProfile + `,
  ptrace (trace,tracedby,read,readby) peer=` + defaultProfile + `,
  deny /proc/{kcore,sysrq-trigger} rwklx,
  deny /proc/{acpi,bus,fs,irq,scsi}/** wklx,
  deny /proc/sys/{abi,debug,dev,fs,vm}/** wklx,
  deny /proc/sys/kernel/{core_pattern,core_pipe_limit,hotplug,modprobe,modules_disabled,panic*,poweroff_cmd,printk*,sysrq,yama/**} wklx,
  deny /sys/{block,bus,class,dev,devices,firmware,hypervisor,kernel,module,power}/** wklx,
  deny /sys/{firmware,kernel/security}/** r,
}
`

// appArmorParser is the one program that can compile a profile, and parserLimit how long it may take.
const (
	appArmorParser = "/sbin/apparmor_parser"
	parserLimit    = 10 * time.Second
)

func (a hostArmor) Default() (string, error) {
	if known, err := a.Loaded(defaultProfile); known || err != nil {
		return defaultProfile, err
	}
	if _, err := os.Stat(appArmorParser); errors.Is(err, os.ErrNotExist) {
		return "", nil // Status says so
	}
	ctx, cancel := context.WithTimeout(context.Background(), parserLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, appArmorParser, "--skip-cache", "--replace")
	cmd.Stdin = strings.NewReader(profileText)
	if said, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("load profile %s: %w: %s", defaultProfile, err, bytes.TrimSpace(said))
	}
	return defaultProfile, nil
}
