package place

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// none is the domain of a row without the label, or without a node.
const none int32 = -1

// topology is a label key as a column. Domain 0 is the empty value, whether a node has it or not, since scores by
// system-default spreading count nodes without the label there.
type topology struct {
	key     string
	refs    int
	domains []int32 // by row
	values  map[string]int32
	names   []string // of domains
	size    []int32  // rows in the domain
	unused  []int32
	shared  int // domains of two rows or more
}

// topology finds or makes the column of key and counts one more user.
func (t *Table) topology(key string) *topology {
	tp := t.topologies[key]
	if tp == nil {
		tp = &topology{key: key, domains: make([]int32, 0, len(t.nodes)), values: map[string]int32{"": 0}, names: []string{""}, size: []int32{0}}
		for row, n := range t.nodes {
			tp.domains = append(tp.domains, none)
			if n != nil {
				tp.set(int32(row), n.Labels)
			}
		}
		t.topologies[key] = tp
	}
	tp.refs++
	return tp
}

func (t *Table) dropTopology(tp *topology) {
	if tp.refs--; tp.refs == 0 {
		delete(t.topologies, tp.key)
	}
}

// rowwise says whether every domain is one row, so that what is said of a domain may be said of its row.
func (tp *topology) rowwise() bool { return tp.shared == 0 && tp.size[0] == 0 }

func (tp *topology) set(row int32, set map[string]string) {
	value, ok := set[tp.key]
	old := tp.domains[row]
	if old != none {
		if ok && tp.names[old] == value {
			return
		}
		tp.leave(old)
	}
	tp.domains[row] = none
	if ok {
		tp.domains[row] = tp.enter(value)
	}
}

func (tp *topology) enter(value string) int32 {
	d, ok := tp.values[value]
	if !ok {
		if n := len(tp.unused); n > 0 {
			d, tp.unused = tp.unused[n-1], tp.unused[:n-1]
			tp.names[d] = value
		} else {
			d = int32(len(tp.names))
			tp.names, tp.size = append(tp.names, value), append(tp.size, 0)
		}
		tp.values[value] = d
	}
	if tp.size[d]++; tp.size[d] == 2 {
		tp.shared++
	}
	return d
}

func (tp *topology) leave(d int32) {
	tp.size[d]--
	switch {
	case tp.size[d] == 1:
		tp.shared--
	case tp.size[d] == 0 && d != 0:
		delete(tp.values, tp.names[d])
		tp.names[d] = ""
		tp.unused = append(tp.unused, d)
	}
}

// image is one that some node has. Its size is the first that was told, as upstream keeps it.
type image struct {
	name  string
	size  int64
	nodes int
}

// imageStore is which node has which images. Images go with their last node.
type imageStore struct {
	byName map[string]*image
	rows   [][]*image // by row, sorted by name
}

func byImageName(i *image, name string) int { return strings.Compare(i.name, name) }

// has finds an image of a row; nil when the row lacks it.
func (s *imageStore) has(row int32, name string) *image {
	i, ok := slices.BinarySearchFunc(s.rows[row], name, byImageName)
	if !ok {
		return nil
	}
	return s.rows[row][i]
}

// set tells the images of a row and reports whether they changed.
func (s *imageStore) set(row int32, list []corev1.ContainerImage) bool {
	if s.same(row, list) {
		return false
	}
	for _, img := range s.rows[row] {
		if img.nodes--; img.nodes == 0 {
			delete(s.byName, img.name)
		}
	}
	s.rows[row] = nil
	for _, i := range list {
		for _, name := range i.Names {
			at, twice := slices.BinarySearchFunc(s.rows[row], name, byImageName)
			if twice {
				continue
			}
			img := s.byName[name]
			if img == nil {
				img = &image{name: name, size: i.SizeBytes}
				s.byName[name] = img
			}
			img.nodes++
			s.rows[row] = slices.Insert(s.rows[row], at, img)
		}
	}
	return true
}

func (s *imageStore) same(row int32, list []corev1.ContainerImage) bool {
	named := 0
	for _, i := range list {
		for _, name := range i.Names {
			img := s.has(row, name)
			if img == nil || img.nodes == 1 && img.size != i.SizeBytes {
				return false
			}
			named++
		}
	}
	return named == len(s.rows[row])
}
