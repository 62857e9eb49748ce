package core_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/kinds/core"
	"github.com/floe-k8s/floe/internal/kinds/kindtest"
)

func TestVolumeRules(t *testing.T) {
	pv := func(text string) string {
		return `{'metadata':{'name':'v'},'spec':{'capacity':{'storage':'1Gi'},'accessModes':['ReadWriteOnce'],` + text + `}}`
	}
	check(t, core.PersistentVolume(), []rule{
		{"good", pv(`'hostPath':{'path':'/x'}`), "", ""},
		{"empty", `{}`, "", "spec.accessModes: Required value\nspec.capacity: Required value\nspec.capacity: Unsupported value: null: supported values: \"storage\"\nspec: Required value: must specify a volume type"},
		{"no storage", `{'spec':{'capacity':{'storage':'0'},'accessModes':['X'],'hostPath':{'path':'/x/..'}}}`, "",
			"spec.accessModes: Unsupported value: \"X\": supported values: \"ReadOnlyMany\", \"ReadWriteMany\", \"ReadWriteOnce\", \"ReadWriteOncePod\"\n" +
				"spec.capacity[storage]: Invalid value: \"0\": must be greater than zero\nspec.hostPath.path: Invalid value: \"/x/..\": must not contain '..'"},
		{"two sources", pv(`'nfs':{'server':'s','path':'/p'},'cephfs':{}`), "", "spec.cephFS: Forbidden: may not specify more than 1 volume type"},
		{"local without nodes", pv(`'local':{'path':'/x'}`), "", "spec.nodeAffinity: Required value: Local volume requires node affinity"},
		{"disk", pv(`'gcePersistentDisk':{'partition':300}`), "", "spec.persistentDisk.pdName: Required value\nspec.persistentDisk.partition: Invalid value: 300: must be between 1 and 255, inclusive"},
		{"driver", pv(`'csi':{'driver':'a_b','nodePublishSecretRef':{'name':'s'}}`), "",
			"spec.csi.driver: Invalid value: \"a_b\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')\n" +
				"spec.csi.volumeHandle: Required value\nspec.csi.nodePublishSecretRef.namespace: Required value"},
		{"portal", pv(`'iscsi':{'targetPortal':'p','iqn':'iqn.bad'}`), "", `spec.iscsi.iqn: Invalid value: "iqn.bad": must be valid format`},
		{"all of a node, wiped", pv(`'hostPath':{'path':'/'},'persistentVolumeReclaimPolicy':'Recycle'`), "", "spec.persistentVolumeReclaimPolicy: Forbidden: may not be 'recycle' for a hostPath mount of '/'"},
		{"options", `{'metadata':{'annotations':{'volume.beta.kubernetes.io/mount-options':'ro'}},` + pv(`'hostPath':{'path':'/x'}`)[len(`{'metadata':{'name':'v'},`):], "",
			"metadata.annotations.volume.beta.kubernetes.io/mount-options: Forbidden: may not specify mount options for this volume type"},
		{"the mode stays", pv(`'volumeMode':'Block','hostPath':{'path':'/x'}`), pv(`'hostPath':{'path':'/x'}`), `volumeMode: Invalid value: "Block": field is immutable`},
		{"a class of attributes stays", pv(`'csi':{'driver':'d','volumeHandle':'h'}`), pv(`'csi':{'driver':'d','volumeHandle':'h'},'volumeAttributesClassName':'c'`),
			"spec.volumeAttributesClassName: Forbidden: update from non-nil value to nil is forbidden"},
		{"labels of old give way", pv(`'hostPath':{'path':'/x'},` + zone("topology.kubernetes.io/zone")), pv(`'hostPath':{'path':'/x'},` + zone("failure-domain.beta.kubernetes.io/zone")), ""},
		{"nodes stay", pv(`'hostPath':{'path':'/x'},` + zone("b")), pv(`'hostPath':{'path':'/x'},` + zone("a")),
			`nodeAffinity: Invalid value: {"Required":{"NodeSelectorTerms":[{"MatchExpressions":[{"Key":"b","Operator":"Exists","Values":null}],"MatchFields":null}]}}: field is immutable, except for updating from beta label to GA`},
	})
	obj := parse(t, core.PersistentVolume(), pv(`'hostPath':{'path':'/y'}`))
	if got := texts(update(t, core.PersistentVolume(), obj, pv(`'hostPath':{'path':'/x'}`))); !strings.HasPrefix(got, "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation\n@@ -2,7 +2,7 @@\n") ||
		!strings.Contains(got, "\n-  \"Path\": \"/x\",\n+  \"Path\": \"/y\",\n") {
		t.Errorf("%s", got)
	}
}

func zone(label string) string {
	return `'nodeAffinity':{'required':{'nodeSelectorTerms':[{'matchExpressions':[{'key':'` + label + `','operator':'Exists'}]}]}}`
}

func TestVolumePhase(t *testing.T) {
	k, then := core.PersistentVolume(), metav1.NewTime(time.Unix(1000, 0))
	now := metav1.NewTime(env().Now)
	old := &corev1.PersistentVolume{Status: corev1.PersistentVolumeStatus{Phase: corev1.VolumeAvailable, LastPhaseTransitionTime: &then}}
	for name, c := range map[string]struct {
		phase corev1.PersistentVolumePhase
		said  *metav1.Time
		want  metav1.Time
	}{
		"same":             {corev1.VolumeAvailable, nil, then},
		"changed":          {corev1.VolumeBound, nil, now},
		"changed, time as": {corev1.VolumeBound, &then, now},
		"changed, said":    {corev1.VolumeBound, &metav1.Time{Time: time.Unix(2000, 0)}, metav1.NewTime(time.Unix(2000, 0))},
	} {
		pv := &corev1.PersistentVolume{Status: corev1.PersistentVolumeStatus{Phase: c.phase, LastPhaseTransitionTime: c.said}}
		k.Subresources[0].Update(env(), pv, old)
		if got := pv.Status.LastPhaseTransitionTime; !got.Equal(&c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	for range 2 {
		if err := kindtest.Admit(k, old, nil, nil); err != nil || !reflect.DeepEqual(old.Finalizers, []string{"kubernetes.io/pv-protection"}) {
			t.Errorf("%v %v", err, old.Finalizers)
		}
	}
}

func TestClaimRules(t *testing.T) {
	claim := func(size, more, status string) string {
		return `{'spec':{'accessModes':['ReadWriteOnce'],'resources':{'requests':{'storage':'` + size + `'}}` + more + `},'status':{` + status + `}}`
	}
	bound := `'phase':'Bound','capacity':{'storage':'2Gi'}`
	check(t, core.PersistentVolumeClaim(), []rule{
		{"good", claim("1Gi", "", ""), "", ""},
		{"empty", `{}`, "", "spec.accessModes: Required value: at least 1 access mode is required\nspec.resources[storage]: Required value"},
		{"nothing", claim("0", "", ""), "", `spec.resources[storage]: Invalid value: "0": must be greater than zero`},
		{"modes", `{'spec':{'accessModes':['ReadWriteOncePod','ReadWriteOnce'],'resources':{'requests':{'storage':'1'}}}}`, "", "spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes"},
		{"odd sources were always ignored", claim("1", `,'dataSource':{'kind':'Pod','name':'p'}`, ""), "", ""},
		{"source", claim("1", `,'dataSourceRef':{'kind':'Pod','name':'p'}`, ""), "", "spec.dataSource: Invalid value: \"Pod\": must be 'PersistentVolumeClaim' when referencing the default apiGroup\n" +
			"spec.dataSourceRef: Invalid value: \"Pod\": must be 'PersistentVolumeClaim' when referencing the default apiGroup"},
		{"bound ones grow", claim("3Gi", `,'volumeName':'v'`, ""), claim("2Gi", `,'volumeName':'v'`, bound), ""},
		{"and do not shrink", claim("1Gi", `,'volumeName':'v'`, ""), claim("3Gi", `,'volumeName':'v'`, bound), "spec.resources.requests.storage: Forbidden: field can not be less than status.capacity"},
		{"a volume is given once", claim("1Gi", `,'volumeName':'v'`, ""), claim("1Gi", "", ""), ""},
		{"a class is given once", claim("1Gi", `,'storageClassName':'c'`, ""), claim("1Gi", "", ""), ""},
		{"an attribute class stays", claim("1Gi", "", ""), claim("1Gi", `,'volumeAttributesClassName':'a'`, bound+`,'currentVolumeAttributesClassName':'a'`),
			"spec.volumeAttributesClassName: Forbidden: update to nil is forbidden when status.currentVolumeAttributesClassName is not nil"},
	})
	k := core.PersistentVolumeClaim()
	got := texts(update(t, k, parse(t, k, claim("2Gi", "", "")), claim("1Gi", "", "")))
	if !strings.HasPrefix(got, "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n@@ ") ||
		!strings.Contains(got, "\n-   \"storage\": \"1Gi\"\n+   \"storage\": \"2Gi\"\n") {
		t.Errorf("%s", got)
	}
	obj := parse(t, k, claim("1", "", `'capacity':{'storage':'-1'},'allocatedResources':{'cpu':'1'},'allocatedResourceStatuses':{'storage':'X'}`))
	want := "status.capacity[storage]: Invalid value: -1: must be a valid resource quantity\n" +
		`status.allocatedResourceStatuses: Unsupported value: "storage": supported values: "ControllerResizeInProgress", "ControllerResizeInfeasible", "NodeResizeInProgress", "NodeResizeInfeasible", "NodeResizePending"` +
		"\n" + `status.allocatedResources: Unsupported value: "cpu": supported values: "storage"`
	if got := texts(k.Subresources[0].Update(env(), obj, parse(t, k, claim("1", "", "")))); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestClaimSources(t *testing.T) {
	k, group := core.PersistentVolumeClaim(), "snapshot.storage.k8s.io"
	c := &corev1.PersistentVolumeClaim{Spec: corev1.PersistentVolumeClaimSpec{DataSource: &corev1.TypedLocalObjectReference{APIGroup: &group, Kind: "VolumeSnapshot", Name: "s"}}}
	k.PrepareCreate(env(), c)
	if want := (&corev1.TypedObjectReference{APIGroup: &group, Kind: "VolumeSnapshot", Name: "s"}); !reflect.DeepEqual(c.Spec.DataSourceRef, want) {
		t.Errorf("%+v", c.Spec.DataSourceRef)
	}
	c.Spec.DataSource = nil
	k.PrepareUpdate(env(), c, c.DeepCopy())
	if c.Spec.DataSource == nil || c.Spec.DataSource.Name != "s" {
		t.Errorf("%+v", c.Spec.DataSource)
	}
	other := "n"
	c = &corev1.PersistentVolumeClaim{Spec: corev1.PersistentVolumeClaimSpec{DataSourceRef: &corev1.TypedObjectReference{Kind: "A", Name: "b", Namespace: &other}}}
	if k.PrepareCreate(env(), c); c.Spec.DataSourceRef != nil {
		t.Errorf("%+v", c.Spec.DataSourceRef)
	}
}
