package scep

import (
	"reflect"
	"strings"
)

// Field is one field of the document of a certificate profile.
type Field struct{ Name, Doc string }

// Fields lists the fields of documents in their order, for documentation. Dots
// are levels.
func Fields() []Field { return fieldsOf(reflect.TypeFor[document](), "") }

func fieldsOf(t reflect.Type, prefix string) (list []Field) {
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		doc := f.Tag.Get("doc")
		if doc == "" {
			continue // kind
		}
		if inner := f.Type; inner.Kind() == reflect.Pointer && (inner.Elem() == reflect.TypeFor[altNames]() || inner.Elem() == reflect.TypeFor[keyText]()) {
			list = append(list, fieldsOf(inner.Elem(), prefix+name+".")...)
			continue
		}
		list = append(list, Field{prefix + name, doc})
	}
	return list
}
