package apiextensions

import (
	"fmt"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1beta1"
	kjson "sigs.k8s.io/json"

	"github.com/floe-k8s/floe/internal/kinds"
)

// readOlder reads a definition of v1beta1, which upstream stores and no longer serves.
func readOlder(version string, doc []byte) (kinds.Object, error) {
	if version != v1beta1.SchemeGroupVersion.Version {
		return nil, fmt.Errorf("there is no version %s of definitions", version)
	}
	var old v1beta1.CustomResourceDefinition
	if err := kjson.UnmarshalCaseSensitivePreserveInts(doc, &old); err != nil {
		return nil, err
	}
	v1beta1.SetDefaults_CustomResourceDefinition(&old)
	v1beta1.SetDefaults_CustomResourceDefinitionSpec(&old.Spec)
	var hub apiextensions.CustomResourceDefinition
	if err := v1beta1.Convert_v1beta1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(&old, &hub, nil); err != nil {
		return nil, err
	}
	crd := &apiextensionsv1.CustomResourceDefinition{}
	return crd, apiextensionsv1.Convert_apiextensions_CustomResourceDefinition_To_v1_CustomResourceDefinition(&hub, crd, nil)
}
