package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// Field is one setting.
type Field struct {
	Key     string // in the file: "tls.cert"
	Default string
	Doc     string // sentences
	Bool    bool   // takes true or false, and its flag may stand alone
	text    bool   // quoted in the file
	index   []int  // of the struct field
}

// Flag is the setting's name on the command line, without dashes.
func (f Field) Flag() string { return strings.NewReplacer(".", "-", "_", "-").Replace(f.Key) }

// Env is the setting's environment variable.
func (f Field) Env() string {
	return "SIGNET_" + strings.ToUpper(strings.ReplaceAll(f.Key, ".", "_"))
}

// Fields lists every setting in the order of the file.
func Fields() []Field { return fieldsOf(reflect.TypeFor[Config](), "", nil) }

func fieldsOf(t reflect.Type, prefix string, index []int) []Field {
	var list []Field
	for i := range t.NumField() {
		sf := t.Field(i)
		key, at := prefix+sf.Tag.Get("toml"), append(index[:len(index):len(index)], i)
		if sf.Type.Kind() == reflect.Struct {
			list = append(list, fieldsOf(sf.Type, key+".", at)...)
			continue
		}
		list = append(list, Field{Key: key, Default: sf.Tag.Get("default"), Doc: sf.Tag.Get("doc"),
			Bool: sf.Type.Kind() == reflect.Bool, text: sf.Type.Kind() == reflect.String, index: at})
	}
	return list
}

// takes says what a value looks like.
func (f Field) takes() string {
	switch {
	case f.Bool:
		return "true or false"
	case f.text:
		return "text in quotes"
	}
	return "a whole number"
}

// set puts text into c's field.
func (f Field) set(c *Config, text string) error {
	v := reflect.ValueOf(c).Elem().FieldByIndex(f.index)
	switch v.Kind() {
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", text)
		}
		v.SetBool(b)
	case reflect.Int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("%q is not a whole number", text)
		}
		v.SetInt(int64(n))
	default:
		v.SetString(text)
	}
	return nil
}

// value gives c's field as text.
func (f Field) value(c Config) string {
	return fmt.Sprint(reflect.ValueOf(c).FieldByIndex(f.index).Interface())
}
