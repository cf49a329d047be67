package strictjson

// Value is a document, or a part of it, that was read whole.
type Value struct {
	Kind    Kind
	Offset  int // of its first byte
	Text    string
	Members []Member
	Items   []Value
}

// Member is one member of an object, in document order.
type Member struct {
	Name   string
	Offset int // of the name
	Value  Value
}

// Get finds a member of an object, nil when there is none.
func (v *Value) Get(name string) *Value {
	for i := range v.Members {
		if v.Members[i].Name == name {
			return &v.Members[i].Value
		}
	}
	return nil
}

// Parse reads a whole document. Text is a string's decoded value, or the
// bytes of a number, boolean or null. Duplicate members are kept, for a reader that
// reports all of them; errors are *[SyntaxError].
func Parse(doc []byte) (Value, error) {
	s := New(doc)
	v, err := s.Value()
	if err == nil {
		err = s.End()
	}
	return v, err
}

// Value reads the next value whole.
func (s *Scanner) Value() (v Value, err error) {
	v = Value{Kind: s.Peek(), Offset: s.pos}
	var text []byte
	switch v.Kind {
	case Object:
		err = s.Object(func(name []byte, offset int) error {
			m := Member{Name: string(name), Offset: offset}
			value, err := s.Value()
			m.Value = value
			v.Members = append(v.Members, m)
			return err
		})
		return v, err
	case Array:
		err = s.Array(func(int) error {
			item, err := s.Value()
			v.Items = append(v.Items, item)
			return err
		})
		return v, err
	case String:
		text, err = s.Text()
	default:
		text, err = s.Scalar()
	}
	v.Text = string(text)
	return v, err
}
