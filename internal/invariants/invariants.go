// Package invariants says whether costly checks of the house's own laws run.
//
// It holds one constant, so that a check behind it costs nothing in a released program: the compiler
// removes the branch. Tests and stress runs build with -tags invariants. A check that fails panics with
// the values that show the broken law; input from users, disk or network is never judged here.
package invariants
