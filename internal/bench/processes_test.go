package bench

import (
	"testing"
	"time"
)

func TestProcessesAreReadFromProc(t *testing.T) {
	cpu, err := cpuTime("testdata/proc", 42)
	if want := 3250 * time.Millisecond; err != nil || cpu != want {
		t.Errorf("cpuTime = %v, %v; want %v", cpu, err, want)
	}
	m, err := memoryOf("testdata/proc", 42)
	if want := (Memory{Resident: 20 << 20, Anonymous: 4 << 20, Share: 10 << 20}); err != nil || m != want {
		t.Errorf("memoryOf = %+v, %v; want %+v", m, err, want)
	}
}

func TestDamagedProcIsAnError(t *testing.T) {
	for _, pid := range []int{43, 44} {
		if cpu, err := cpuTime("testdata/proc", pid); err == nil {
			t.Errorf("cpuTime(%d) = %v, want an error", pid, cpu)
		}
		if m, err := memoryOf("testdata/proc", pid); err == nil {
			t.Errorf("memoryOf(%d) = %+v, want an error", pid, m)
		}
	}
}

func TestParseProcess(t *testing.T) {
	if p, err := ParseProcess("etcd=12"); err != nil || p != (Process{Name: "etcd", PID: 12}) {
		t.Errorf("etcd=12: %+v, %v", p, err)
	}
	for _, text := range []string{"", "etcd", "=3", "etcd=", "etcd=-1", "etcd=0", "etcd=x"} {
		if p, err := ParseProcess(text); err == nil {
			t.Errorf("ParseProcess(%q) = %+v, want an error", text, p)
		}
	}
}
