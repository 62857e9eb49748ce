package network

import (
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// tableName is the nftables table that is this package's own.
const tableName = "floe"

// masquerade replaces the table, in one transaction, by one that lets packets of the range leave it under the node's address.
func masquerade(pods netip.Prefix) error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("opening nf_tables: %w", err)
	}
	table := &nftables.Table{Family: nftables.TableFamilyIPv4, Name: tableName}
	conn.AddTable(table) // so that the removal of an absent one does not fail
	conn.DelTable(table)
	conn.AddTable(table)
	chain := conn.AddChain(&nftables.Chain{
		Name: "postrouting", Table: table, Type: nftables.ChainTypeNAT, Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource,
	})
	const sourceAt, destinationAt = 12, 16 // in the IPv4 header (RFC 791)
	rule := append(inRange(sourceAt, pods, expr.CmpOpEq), inRange(destinationAt, pods, expr.CmpOpNeq)...)
	conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: append(rule, &expr.Masq{})})
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("writing packet rules: %w", err)
	}
	return nil
}

// inRange compares the address at an offset of the IPv4 header, under the range's mask, with the range.
func inRange(offset uint32, p netip.Prefix, op expr.CmpOp) []expr.Any {
	mask := make([]byte, 4)
	for i := range p.Bits() {
		mask[i/8] |= 1 << (7 - i%8)
	}
	network := p.Masked().Addr().As4()
	return []expr.Any{
		&expr.Payload{OperationType: expr.PayloadLoad, DestRegister: unix.NFT_REG_1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4},
		&expr.Bitwise{SourceRegister: unix.NFT_REG_1, DestRegister: unix.NFT_REG_1, Len: 4, Mask: mask, Xor: make([]byte, 4)},
		&expr.Cmp{Op: op, Register: unix.NFT_REG_1, Data: network[:]},
	}
}
