// Package volumespec is what pods, persistent volumes, claims and stateful sets have in common where they speak of storage: claims, and the sources
// that a volume may be made of.
//
// # Vocabulary and laws
//
// A source is one thing that a volume is made of; the same disks can stand in a pod and in a persistent volume, and mean the same. A claim is what asks
// for a volume, as an object of its own or as a template inside another one. The functions report what is wrong, with upstream's paths, types and details;
// they change nothing but Default, which is idempotent.
//
// # What it leaves to others
//
// Which sources a kind takes, and in what order, belongs to the kind.
package volumespec
