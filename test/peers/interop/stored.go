package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
)

// stored collects what upstream has written to its log.
type stored struct {
	etcd string
	list []record
}

// record is one object: where and as what bytes it is stored, and what upstream answers for it.
type record struct {
	Key    string
	Value  []byte
	Answer json.RawMessage
}

// keep records an object that was just created, as it is stored and answered at one revision.
func (s *stored) keep(ctx context.Context, upstream dynamic.ResourceInterface, obj *unstructured.Unstructured) error {
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{s.etcd}})
	if err != nil {
		return err
	}
	defer client.Close()
	for ctx.Err() == nil {
		kv, err := find(ctx, client, obj)
		if err != nil {
			return err
		}
		now, err := upstream.Get(ctx, obj.GetName(), metav1.GetOptions{})
		if err != nil {
			return err
		}
		if now.GetResourceVersion() != strconv.FormatInt(kv.ModRevision, 10) {
			continue // upstream itself has changed it meanwhile
		}
		answer, err := now.MarshalJSON()
		if err != nil {
			return err
		}
		s.list = append(s.list, record{string(kv.Key), kv.Value, answer})
		return nil
	}
	return ctx.Err()
}

// find looks among the keys that end with an object's name for the value with its UID.
func find(ctx context.Context, client *clientv3.Client, obj *unstructured.Unstructured) (*mvccpb.KeyValue, error) {
	all, err := client.Get(ctx, "/registry/", clientv3.WithPrefix())
	if err != nil {
		return nil, err
	}
	for _, kv := range all.Kvs {
		if strings.HasSuffix(string(kv.Key), "/"+obj.GetName()) && bytes.Contains(kv.Value, []byte(obj.GetUID())) {
			return kv, nil
		}
	}
	return nil, fmt.Errorf("%s %s: not found in etcd", obj.GetKind(), obj.GetName())
}

func (s *stored) write(file string) (err error) {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	z, err := zstd.NewWriter(f, zstd.WithEncoderLevel(zstd.SpeedBestCompression))
	if err != nil {
		return err
	}
	e := json.NewEncoder(z)
	for _, r := range s.list {
		if err := e.Encode(r); err != nil {
			return err
		}
	}
	return z.Close()
}
