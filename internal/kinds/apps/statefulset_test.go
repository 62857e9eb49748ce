package apps_test

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/apps"
	"github.com/floe-k8s/floe/internal/kinds/kindtest"
)

func webTemplate() corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i:1"}}}}
}

func webSelector() *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
}

func first(errs field.ErrorList) string {
	if len(errs) == 0 {
		return ""
	}
	return errs[0].Error()
}

func row(k *kinds.Kind, obj kinds.Object) string {
	var cells []string
	for _, c := range k.Columns {
		switch v := c.Cell(kindtest.Env(), obj).(type) {
		case string:
			cells = append(cells, v)
		case int64:
			cells = append(cells, strings.Repeat("#", int(v)))
		}
	}
	return strings.Join(cells, "|")
}

func statefulSet(change func(*appsv1.StatefulSet)) *appsv1.StatefulSet {
	s := &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default"},
		Spec: appsv1.StatefulSetSpec{Selector: webSelector(), ServiceName: "web", Template: webTemplate(), VolumeClaimTemplates: []corev1.PersistentVolumeClaim{{
			ObjectMeta: metav1.ObjectMeta{Name: "data"},
			Spec: corev1.PersistentVolumeClaimSpec{
				AccessModes: []corev1.PersistentVolumeAccessMode{"ReadWriteOnce"},
				Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{"storage": resource.MustParse("1Gi")}},
			},
		}}},
	}
	s.Spec.Template.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
	apps.StatefulSet().Default(s)
	apps.StatefulSet().PrepareCreate(kindtest.Env(), s)
	if change != nil {
		change(s)
	}
	return s
}

func TestStatefulSetDefaults(t *testing.T) {
	s := statefulSet(nil)
	if s.Generation != 1 || *s.Spec.Replicas != 1 || *s.Spec.RevisionHistoryLimit != 10 || s.Spec.PodManagementPolicy != "OrderedReady" || s.Spec.UpdateStrategy.Type != "RollingUpdate" ||
		*s.Spec.UpdateStrategy.RollingUpdate.Partition != 0 || s.Spec.PersistentVolumeClaimRetentionPolicy.WhenDeleted != "Retain" || s.Spec.PersistentVolumeClaimRetentionPolicy.WhenScaled != "Retain" {
		t.Errorf("got %+v", s.Spec)
	}
	if c := s.Spec.VolumeClaimTemplates[0]; c.Kind != "PersistentVolumeClaim" || c.APIVersion != "v1" || c.Status.Phase != "Pending" || *c.Spec.VolumeMode != "Filesystem" {
		t.Errorf("claim: got %+v", c)
	}
}

// TestMaxUnavailableIsOff: the field is dropped, unless it was there before.
func TestMaxUnavailableIsOff(t *testing.T) {
	set := func(s *appsv1.StatefulSet) {
		s.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable = ptr.To(intstr.FromInt32(2))
	}
	k, s := apps.StatefulSet(), statefulSet(set)
	k.PrepareUpdate(kindtest.Env(), s, statefulSet(nil))
	if s.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable != nil || s.Generation != 1 {
		t.Errorf("got %v, generation %d", s.Spec.UpdateStrategy.RollingUpdate, s.Generation)
	}
	s = statefulSet(set)
	k.PrepareUpdate(kindtest.Env(), s, statefulSet(set))
	if s.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable == nil {
		t.Error("what was there before is gone")
	}
}

func TestStatefulSetValidation(t *testing.T) {
	claim := func(f func(*corev1.PersistentVolumeClaimSpec)) func(*appsv1.StatefulSetSpec) {
		return func(s *appsv1.StatefulSetSpec) { f(&s.VolumeClaimTemplates[0].Spec) }
	}
	at := "spec.volumeClaimTemplates[0].spec."
	for name, c := range map[string]struct {
		change func(*appsv1.StatefulSetSpec)
		want   string
	}{
		"good":             {func(s *appsv1.StatefulSetSpec) { s.Template.Spec.Hostname = "Not_A_Name" }, ""},
		"order":            {func(s *appsv1.StatefulSetSpec) { s.PodManagementPolicy = "x" }, `spec.podManagementPolicy: Invalid value: "x": must be 'OrderedReady' or 'Parallel'`},
		"strategy":         {func(s *appsv1.StatefulSetSpec) { s.UpdateStrategy.Type = "x" }, `spec.updateStrategy: Invalid value: {"Type":"x","RollingUpdate":{"Partition":0,"MaxUnavailable":null}}: must be 'RollingUpdate' or 'OnDelete'`},
		"strategy's parts": {func(s *appsv1.StatefulSetSpec) { s.UpdateStrategy.Type = "OnDelete" }, `spec.updateStrategy.rollingUpdate: Invalid value: {"Partition":0,"MaxUnavailable":null}: only allowed for updateStrategy 'RollingUpdate'`},
		"partition":        {func(s *appsv1.StatefulSetSpec) { s.UpdateStrategy.RollingUpdate.Partition = ptr.To[int32](-1) }, "spec.updateStrategy.rollingUpdate.partition: Invalid value: -1: must be greater than or equal to 0"},
		"too few": {func(s *appsv1.StatefulSetSpec) {
			s.UpdateStrategy.RollingUpdate.MaxUnavailable = ptr.To(intstr.FromString("0%"))
		}, `spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: "0%": cannot be 0`},
		"too many": {func(s *appsv1.StatefulSetSpec) {
			s.UpdateStrategy.RollingUpdate.MaxUnavailable = ptr.To(intstr.FromString("101%"))
		}, `spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: "101%": must not be greater than 100%`},
		"retention":        {func(s *appsv1.StatefulSetSpec) { s.PersistentVolumeClaimRetentionPolicy.WhenScaled = "x" }, `spec.persistentVolumeClaimRetentionPolicy.whenScaled: Unsupported value: "x": supported values: "Retain", "Delete"`},
		"ordinals":         {func(s *appsv1.StatefulSetSpec) { s.Ordinals = &appsv1.StatefulSetOrdinals{Start: -1} }, "spec.ordinals.start: Invalid value: -1: must be greater than or equal to 0"},
		"service":          {func(s *appsv1.StatefulSetSpec) { s.ServiceName = "a.b" }, `spec.serviceName: Invalid value: "a.b": must not contain dots`},
		"empty selector":   {func(s *appsv1.StatefulSetSpec) { s.Selector = &metav1.LabelSelector{} }, "spec.selector: Invalid value: {}: empty selector is invalid for statefulset"},
		"restart":          {func(s *appsv1.StatefulSetSpec) { s.Template.Spec.RestartPolicy = "Never" }, `spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"`},
		"deadline":         {func(s *appsv1.StatefulSetSpec) { s.Template.Spec.ActiveDeadlineSeconds = ptr.To[int64](1) }, "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in StatefulSet is not Supported"},
		"mount of nothing": {func(s *appsv1.StatefulSetSpec) { s.VolumeClaimTemplates = nil }, `spec.template.spec.containers[0].volumeMounts[0].name: Not found: "data"`},
		"access":           {claim(func(s *corev1.PersistentVolumeClaimSpec) { s.AccessModes = nil }), at + "accessModes: Required value: at least 1 access mode is required"},
		"one pod and more": {claim(func(s *corev1.PersistentVolumeClaimSpec) { s.AccessModes = append(s.AccessModes, "ReadWriteOncePod") }), at + "accessModes: Forbidden: may not use ReadWriteOncePod with other access modes"},
		"size":             {claim(func(s *corev1.PersistentVolumeClaimSpec) { s.Resources.Requests = nil }), at + "resources[storage]: Required value"},
		"no size":          {claim(func(s *corev1.PersistentVolumeClaimSpec) { s.Resources.Requests["storage"] = resource.Quantity{} }), at + `resources[storage]: Invalid value: "0": must be greater than zero`},
		"mode":             {claim(func(s *corev1.PersistentVolumeClaimSpec) { s.VolumeMode = ptr.To[corev1.PersistentVolumeMode]("x") }), at + `volumeMode: Unsupported value: "x": supported values: "Block", "Filesystem"`},
		"source": {claim(func(s *corev1.PersistentVolumeClaimSpec) {
			s.DataSource = &corev1.TypedLocalObjectReference{Kind: "Pod", Name: "a"}
		}),
			at + `dataSource: Invalid value: "Pod": must be 'PersistentVolumeClaim' when referencing the default apiGroup`},
		"two sources": {claim(func(s *corev1.PersistentVolumeClaimSpec) {
			s.DataSource, s.DataSourceRef = &corev1.TypedLocalObjectReference{Kind: "PersistentVolumeClaim", Name: "a"}, &corev1.TypedObjectReference{Kind: "PersistentVolumeClaim", Name: "b"}
		}), strings.TrimSuffix(at, ".") + ": Invalid value: {}: must match dataSourceRef"},
	} {
		if got := first(apps.StatefulSet().Validate(statefulSet(func(s *appsv1.StatefulSet) { c.change(&s.Spec) }))); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestStatefulSetUpdates(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*appsv1.StatefulSetSpec)
		want   string
	}{
		"replicas and image": {func(s *appsv1.StatefulSetSpec) {
			s.Replicas, s.Template.Spec.Containers[0].Image = ptr.To[int32](3), "i:2"
		}, ""},
		"retention":       {func(s *appsv1.StatefulSetSpec) { s.PersistentVolumeClaimRetentionPolicy.WhenDeleted = "Delete" }, ""},
		"service":         {func(s *appsv1.StatefulSetSpec) { s.ServiceName = "Other" }, "spec"},
		"claims":          {func(s *appsv1.StatefulSetSpec) { s.VolumeClaimTemplates[0].Spec.AccessModes = nil }, "spec"},
		"order, negative": {func(s *appsv1.StatefulSetSpec) { s.PodManagementPolicy, s.Replicas = "Parallel", ptr.To[int32](-1) }, "spec.replicas spec"},
	} {
		old := statefulSet(func(s *appsv1.StatefulSet) { s.ResourceVersion, s.Status.Replicas = "1", 4 })
		next := old.DeepCopy()
		c.change(&next.Spec)
		next.Status.Replicas = 9
		k := apps.StatefulSet()
		k.PrepareUpdate(kindtest.Env(), next, old)
		if next.Generation != 2 || next.Status.Replicas != 4 {
			t.Errorf("%s: generation %d, status %+v", name, next.Generation, next.Status)
		}
		var got []string
		for _, e := range append(k.Validate(next), k.ValidateUpdate(next, old)...) {
			got = append(got, e.Field)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: got %v, want %s", name, got, c.want)
		}
	}
}

func TestStatefulSetStatusAndColumns(t *testing.T) {
	s := statefulSet(func(s *appsv1.StatefulSet) {
		s.Status = appsv1.StatefulSetStatus{Replicas: 1, ReadyReplicas: 2, CurrentReplicas: 2, UpdatedReplicas: 2, AvailableReplicas: 3, ObservedGeneration: -1}
		s.Spec.ServiceName = "changed"
	})
	old := statefulSet(func(s *appsv1.StatefulSet) { s.Status.CollisionCount = ptr.To[int32](1) })
	var got []string
	for _, e := range status(apps.StatefulSet()).Update(kindtest.Env(), s, old) {
		got = append(got, strings.TrimPrefix(e.Field, "status."))
	}
	if want := "observedGeneration readyReplicas currentReplicas updatedReplicas availableReplicas availableReplicas collisionCount"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
	if s.Spec.ServiceName != "web" {
		t.Error("a status changed the specification")
	}
	if got := row(apps.StatefulSet(), s); got != "web|2/1|<unknown>|c|i:1" {
		t.Errorf("got %s", got)
	}
	scale := apps.StatefulSet().Subresources[0].Scale
	scale.Write(s, 5)
	if want, have, selector := scale.Read(s); want != 5 || have != 1 || selector != "app=web" {
		t.Errorf("got %d, %d, %s", want, have, selector)
	}
}
