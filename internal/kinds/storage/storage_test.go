package storage_test

import (
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/kindtest"
	"github.com/floe-k8s/floe/internal/kinds/storage"
)

func p[T any](v T) *T { return &v }

func table(t *testing.T, k *kinds.Kind, header []string, obj kinds.Object, row ...any) {
	t.Helper()
	if got := kindtest.Header(k); !reflect.DeepEqual(got, header) {
		t.Errorf("%s: got %v, want %v", k.Resource, got, header)
	}
	if got := kindtest.Row(k, obj); !reflect.DeepEqual(got, row) {
		t.Errorf("%s: got %v, want %v", k.Resource, got, row)
	}
}

const label = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"

func class(change func(*storagev1.StorageClass)) *storagev1.StorageClass {
	c := &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "c"}, Provisioner: "example.com/Disk"}
	storage.StorageClass().Default(c)
	change(c)
	return c
}

func terms(list ...map[string][]string) (all []corev1.TopologySelectorTerm) {
	for _, m := range list {
		var term corev1.TopologySelectorTerm
		for k, v := range m {
			term.MatchLabelExpressions = append(term.MatchLabelExpressions, corev1.TopologySelectorLabelRequirement{Key: k, Values: v})
		}
		all = append(all, term)
	}
	return all
}

func TestStorageClass(t *testing.T) {
	k := storage.StorageClass()
	for name, c := range map[string]struct {
		change func(*storagev1.StorageClass)
		want   []string
	}{
		"good":           {func(*storagev1.StorageClass) {}, nil},
		"no provisioner": {func(c *storagev1.StorageClass) { c.Provisioner = "" }, []string{"provisioner: Required value"}},
		"provisioner":    {func(c *storagev1.StorageClass) { c.Provisioner = "A b" }, []string{`provisioner: Invalid value: "a b": ` + label}},
		"parameters":     {func(c *storagev1.StorageClass) { c.Parameters = map[string]string{"": "a"} }, []string{`parameters: Invalid value: "": field can not be empty.`}},
		"large":          {func(c *storagev1.StorageClass) { c.Parameters = map[string]string{"a": strings.Repeat("x", 256<<10)} }, []string{"parameters: Too long: may not be more than 262144 bytes"}},
		"policy":         {func(c *storagev1.StorageClass) { c.ReclaimPolicy = p(corev1.PersistentVolumeReclaimRecycle) }, []string{`reclaimPolicy: Unsupported value: "Recycle": supported values: "Delete", "Retain"`}},
		"mode":           {func(c *storagev1.StorageClass) { c.VolumeBindingMode = p(storagev1.VolumeBindingMode("Odd")) }, []string{`volumeBindingMode: Unsupported value: "Odd": supported values: "Immediate", "WaitForFirstConsumer"`}},
		"places":         {func(c *storagev1.StorageClass) { c.AllowedTopologies = terms(map[string][]string{"zone": {"a", "b"}}) }, nil},
		"same places": {func(c *storagev1.StorageClass) {
			c.AllowedTopologies = terms(map[string][]string{"zone": {"a", "b"}}, map[string][]string{"zone": {"b", "a"}})
		}, []string{`allowedTopologies[1].matchLabelExpressions: Duplicate value: ""`}},
		"no place": {func(c *storagev1.StorageClass) { c.AllowedTopologies = terms(map[string][]string{}) }, []string{`allowedTopologies[0].matchLabelExpressions: Duplicate value: ""`}},
		"odd places": {func(c *storagev1.StorageClass) {
			c.AllowedTopologies = terms(map[string][]string{"a b": {"c", "c"}}, map[string][]string{"d": nil})
		}, []string{
			`allowedTopologies[0].matchLabelExpressions[0].values[1]: Duplicate value: "c"`,
			`allowedTopologies[0].matchLabelExpressions[0].key: Invalid value: "a b": ` + label,
			`allowedTopologies[1].matchLabelExpressions[0].values: Required value`,
		}},
	} {
		kindtest.Same(t, name, kindtest.Create(k, class(c.change)), c.want)
	}
	other := class(func(c *storagev1.StorageClass) {
		c.Provisioner, c.Parameters, c.AllowVolumeExpansion = "a", map[string]string{"a": "b"}, p(true)
		c.ReclaimPolicy, c.VolumeBindingMode = p(corev1.PersistentVolumeReclaimRetain), p(storagev1.VolumeBindingWaitForFirstConsumer)
	})
	kindtest.Same(t, "update", kindtest.Update(k, other, class(func(*storagev1.StorageClass) {})), []string{
		`parameters: Invalid value: {"a":"b"}: field is immutable`, `provisioner: Invalid value: "a": field is immutable`,
		`reclaimPolicy: Invalid value: "Retain": field is immutable`, `volumeBindingMode: Invalid value: "WaitForFirstConsumer": field is immutable`,
	})
	header := []string{"Name/name", "Provisioner", "ReclaimPolicy", "VolumeBindingMode", "AllowVolumeExpansion", "Age"}
	table(t, k, header, other, "c", "a", "Retain", "WaitForFirstConsumer", true, "<unknown>")
	first := &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "c", Annotations: map[string]string{"storageclass.beta.kubernetes.io/is-default-class": "true"}}}
	table(t, k, header, first, "c (default)", "", "Delete", "Immediate", false, "<unknown>")
}

func TestVolumeAttributesClass(t *testing.T) {
	k := storage.VolumeAttributesClass()
	of := func(driver string, parameters map[string]string) *storagev1.VolumeAttributesClass {
		return &storagev1.VolumeAttributesClass{ObjectMeta: metav1.ObjectMeta{Name: "c"}, DriverName: driver, Parameters: parameters}
	}
	ab := map[string]string{"a": "b"}
	kindtest.Same(t, "good", kindtest.Create(k, of("d", ab)), nil)
	kindtest.Same(t, "empty", kindtest.Create(k, of("", nil)), []string{"driverName: Required value", "parameters: Required value: must contain at least one key/value pair"})
	kindtest.Same(t, "update", kindtest.Update(k, of("", nil), of("d", ab)), []string{
		"driverName: Forbidden: updates to driverName are forbidden.", "parameters: Forbidden: updates to parameters are forbidden.",
		"driverName: Required value", "parameters: Required value: must contain at least one key/value pair",
	})
	kindtest.Same(t, "no change", kindtest.Update(k, of("d", ab), of("d", ab)), nil)
	c := of("d", ab)
	for range 2 {
		if err := kindtest.Admit(k, c, nil, nil); err != nil || !reflect.DeepEqual(c.Finalizers, []string{"kubernetes.io/vac-protection"}) {
			t.Errorf("admitted: %v %v", err, c.Finalizers)
		}
	}
	table(t, k, []string{"Name/name", "DriverName", "Age"}, c, "c", "d", "<unknown>")
}

func TestCSIStorageCapacity(t *testing.T) {
	k := storage.CSIStorageCapacity()
	of := func(class string, size string, zone string) *storagev1.CSIStorageCapacity {
		c := &storagev1.CSIStorageCapacity{ObjectMeta: metav1.ObjectMeta{Name: "c"}, StorageClassName: class}
		if size != "" {
			c.Capacity = p(resource.MustParse(size))
		}
		if zone != "" {
			c.NodeTopology = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "zone", Operator: "In", Values: []string{zone}}}}
		}
		return c
	}
	kindtest.Same(t, "good", kindtest.Create(k, of("c", "1Gi", "a")), nil)
	kindtest.Same(t, "less than none", kindtest.Create(k, of("c", "-1", "")), []string{`capacity: Invalid value: "-1": must be greater than or equal to 0`})
	if got := kindtest.Create(k, of("C", "", "-")); len(got) != 2 || !strings.HasPrefix(got[0], `nodeTopology.matchExpressions[0].values[0]: Invalid value: "-": `) || !strings.HasPrefix(got[1], `storageClassName: Invalid value: "C": `) {
		t.Errorf("odd: %q", got)
	}
	kindtest.Same(t, "odd place as before", kindtest.Update(k, of("c", "2Gi", "-"), of("c", "", "-")), nil)
	kindtest.Same(t, "moved", kindtest.Update(k, of("d", "1", ""), of("c", "", "a")), []string{
		"nodeTopology: Invalid value: null: field is immutable", `storageClassName: Invalid value: "d": field is immutable`,
	})
	table(t, k, []string{"Name/name", "Created At:date"}, of("c", "1024Mi", ""), "c", "0001-01-01T00:00:00Z")
}
