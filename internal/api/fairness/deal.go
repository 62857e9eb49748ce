package fairness

import (
	"crypto/sha256"
	"encoding/binary"
)

// maxHand is more than the cards of any hand: a hand of n out of at least n takes more than 60 bits for n above 16.
const maxHand = 17

// deal picks hand different cards out of deck, all by hash: the same for the same, and any two flows share a whole hand hardly ever. The hash is read as a
// number whose digits say which of the cards that are left comes next.
func deal(hash uint64, deck, hand int, cards *[maxHand]int) []int {
	for i := range hand {
		left := uint64(deck - i)
		cards[i] = int(hash % left)
		hash /= left
	}
	// cards[i] counts only what the earlier ones have left: from the last of those back, each that is not above pushes it up by one.
	var picked [maxHand]int
	for i := range hand {
		card := cards[i]
		for j := i - 1; j >= 0; j-- {
			if card >= cards[j] {
				card++
			}
		}
		picked[i] = card
	}
	*cards = picked
	return cards[:hand]
}

// flowHash is where a flow's hand begins. What is hashed is as upstream's, so that servers beside each other deal alike.
func flowHash(schema, distinguisher string) uint64 {
	var buf [256]byte
	text := append(append(append(buf[:0], schema...), 0), distinguisher...)
	sum := sha256.Sum256(text)
	return binary.LittleEndian.Uint64(sum[:8])
}
