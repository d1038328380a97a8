package plist

import (
	"encoding/json"
	"errors"
	"math"
)

// Normalize gives a copy of what a JSON or YAML decoder made, fit for Marshal:
// whole numbers become int64, so that an app that expects an integer finds
// one, and nulls are dropped. What no property list can hold is ErrValue.
func Normalize(m map[string]any) (map[string]any, error) {
	out := make(map[string]any, len(m))
	for k, v := range m {
		n, err := normal(v)
		if err != nil {
			return nil, err
		}
		if n != nil {
			out[k] = n
		}
	}
	return out, nil
}

func normal(v any) (any, error) {
	switch v := v.(type) {
	case float64:
		return number(v)
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i, nil
		}
		f, err := v.Float64()
		if err != nil {
			return nil, ErrValue.With(errors.New("a number is out of range"))
		}
		return number(f)
	case map[string]any:
		return Normalize(v)
	case map[any]any:
		return nil, ErrValue.With(errors.New("a key is no string"))
	case []any:
		return normalList(v)
	}
	return v, nil
}

func normalList(list []any) (any, error) {
	out := make([]any, 0, len(list))
	for _, v := range list {
		n, err := normal(v)
		if err != nil {
			return nil, err
		}
		if n != nil {
			out = append(out, n)
		}
	}
	return out, nil
}

// number turns whole numbers into integers as far as a float64 is exact.
func number(f float64) (any, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, ErrValue.With(errors.New("a number is not finite"))
	}
	if f == math.Trunc(f) && math.Abs(f) <= 1<<53 {
		return int64(f), nil
	}
	return f, nil
}
