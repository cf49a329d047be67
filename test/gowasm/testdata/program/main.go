// Command program does what Go's compiler and runtime write differently for WebAssembly, and prints what came out. It is
// the same natively, as it is compiled, and optimized.
package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

func main() {
	for _, part := range []struct {
		name string
		do   func() any
	}{
		{"branches", branches}, {"loops", loops}, {"gotos", gotos}, {"widths", widths}, {"slices", bounds}, {"panics", panics},
		{"defers", defers}, {"stack", stack}, {"goroutines", goroutines}, {"select", selects}, {"maps", maps}, {"garbage", garbage},
		{"floats", floats}, {"types", types}, {"closures", closures}, {"sorting", sorting}, {"text", text}, {"large frame", largeFrame}, {"iterators", iterators},
	} {
		fmt.Printf("%s: %v\n", part.name, part.do())
	}
	// A crash's trace has names and lines of places within functions.
	defer func() {
		recover()
		for line := range strings.Lines(string(debug.Stack())) {
			if strings.HasPrefix(line, "main.") {
				fmt.Print(strings.SplitAfter(line, "(")[0], "\n")
			}
			if at := strings.LastIndex(line, "main.go:"); at >= 0 {
				fmt.Println(strings.Fields(line[at:])[0])
			}
		}
		os.Exit(7)
	}()
	crash(3, nil)
}

//go:noinline
func crash(n int, p *[4]int) int {
	if n > 0 {
		return crash(n-1, p) + 1
	}
	return p[n]
}

//go:noinline
func classify(n int) string {
	switch {
	case n < -100:
		return "far below"
	case n < 0:
		return "below"
	case n == 0:
		return "zero"
	}
	switch n {
	case 1, 2, 3, 5, 8, 13, 21:
		return "fibonacci"
	case 4, 16:
		return "square"
	case 6:
		fallthrough
	case 28:
		return "perfect"
	case 7, 9, 10, 11, 12, 14, 15, 17, 18, 19, 20:
		if n%2 == 0 && n > 9 || n == 7 {
			return "even or seven"
		}
		return "odd"
	default:
		if n > 1000 {
			return "many"
		}
	}
	return "other"
}

func branches() any {
	var all []string
	for n := -102; n < 40; n += 3 {
		all = append(all, classify(n), classify(n+1))
	}
	return strings.Join(append(all, classify(28), classify(1001)), " ")
}

func loops() any {
	sum := 0
outer:
	for i := range 50 {
		for j := 0; ; j++ {
			switch {
			case j > i:
				continue outer
			case i*j > 900:
				break outer
			case (i^j)&3 == 0:
				continue
			}
			sum += i*31 + j
		}
	}
	for n := 27; n != 1; sum++ { // Collatz
		if n%2 == 0 {
			n /= 2
		} else {
			n = 3*n + 1
		}
	}
	return sum
}

func gotos() any {
	i, s := 0, ""
top:
	if i > 6 {
		goto done
	}
	if i%3 == 1 {
		i += 2
		s += "b"
		goto top
	}
	s += strconv.Itoa(i)
	i++
	goto top
done:
	return s
}

//go:noinline
func load(a []int8, b []int16, c []int32, i int) (x, y, z uint64) {
	return uint64(uint8(a[i])), uint64(uint16(b[i])), uint64(uint32(c[i]))
}

func widths() any {
	a, b, c := []int8{-1, 127, -128}, []int16{-1, 32767, -32768}, []int32{-1, 1 << 30, -1 << 31}
	s := ""
	for i := range a {
		x, y, z := load(a, b, c, i)
		s += fmt.Sprint(x, y, z, int64(a[i])&0xff, int64(b[i])&0xffff, int64(c[i])&0xffffffff, a[i]>>3, uint8(a[i])>>3, c[i]<<1, " ")
	}
	return s
}

func bounds() any {
	s := make([]int, 5, 9)
	copy(s, []int{1, 2, 3, 4, 5})
	t := append(s[1:3:4], 7, 8, 9)
	u := s[:9][6:]
	array := [3]string{"a", "b", "c"}
	part := array[1:]
	part[0] += "!"
	return fmt.Sprint(s, t, u, len(t), cap(t) > 3, array, *(*[2]int)(s[3:]))
}

// caught gives what a function panics with.
func caught(f func()) (text string) {
	defer func() {
		switch r := recover().(type) {
		case nil:
			text = "nothing"
		case runtime.Error:
			text = r.Error()
		default:
			text = fmt.Sprint(r)
		}
	}()
	f()
	return
}

type node struct {
	next  *node
	value [40]int
}

func panics() any {
	var (
		list  []int
		zero  int
		none  map[string]int
		empty *node
		any_  any = "text"
		err   error
		ch    chan int
	)
	return strings.Join([]string{
		caught(func() { list[zero]++ }), caught(func() { fmt.Print(list[1:zero]) }), caught(func() { zero = 1 / zero }), caught(func() { none["a"] = 1 }),
		caught(func() { empty.value[3] = 1 }), caught(func() { fmt.Print(empty.next.next) }), caught(func() { zero = any_.(int) }), caught(func() { fmt.Print(err.Error()) }),
		caught(func() { close(ch) }), caught(func() { panic("one") }), caught(func() { panic(errors.New("two")) }), caught(func() { list = make([]int, zero-1) }),
		caught(func() { var f func(); f() }), caught(func() { panic(fmt.Sprint(caught(func() { panic("inner") }), " outer")) }), caught(func() {}),
	}, "; ")
}

func defers() (result any) {
	var order []int
	func() {
		for i := range 5 {
			defer func() { order = append(order, i) }()
		}
		defer func() {
			recover()
			order = append(order, 100)
		}()
		defer func() { panic("again") }()
		panic("first")
	}()
	defer func() { result = fmt.Sprint(order, result) }()
	return "returned"
}

//go:noinline
func deep(n int, pad [20]int) int {
	if n == 0 {
		return pad[3]
	}
	pad[n%20] += n
	return deep(n-1, pad) + pad[(n+7)%20]%3
}

func stack() any {
	sum := deep(20_000, [20]int{})
	done := make(chan int)
	for i := range 8 {
		go func() { done <- deep(100*i, [20]int{3: i}) }()
	}
	for range 8 {
		sum += <-done
	}
	return sum
}

func goroutines() any {
	var (
		mu    sync.Mutex
		group sync.WaitGroup
		sum   int
		pipe  = make(chan int, 3)
	)
	for i := range 20 {
		group.Go(func() {
			for j := range 50 {
				if j%7 == i%7 {
					runtime.Gosched()
				}
				mu.Lock()
				sum += i * j
				mu.Unlock()
			}
			pipe <- i
		})
	}
	go func() { group.Wait(); close(pipe) }()
	received := 0 // others may still be at sum
	for v := range pipe {
		received += v
	}
	time.Sleep(time.Millisecond)
	return sum + received
}

func selects() any {
	a, b, quit := make(chan int), make(chan string), make(chan struct{})
	go func() {
		for i := range 5 {
			a <- i
		}
		b <- "b"
		close(quit)
	}()
	n, s := 0, ""
	for {
		select {
		case v := <-a:
			n += v
		case v := <-b:
			s += v
		case <-quit:
			select {
			case <-a:
			default:
				return fmt.Sprint(n, s)
			}
		}
	}
}

func maps() any {
	byName, byNumber, byPair := map[string]int{}, map[uint64]string{}, map[[2]int32]bool{}
	for i := range 3000 {
		byName["k"+strconv.Itoa(i%700)] += i
		byNumber[uint64(i)*0x9e3779b97f4a7c15] = strconv.Itoa(i)
		byPair[[2]int32{int32(i % 50), int32(i % 30)}] = i%2 == 0
		if i%3 == 0 {
			delete(byName, "k"+strconv.Itoa(i%350))
		}
	}
	sum := 0
	for k, v := range byName {
		sum += len(k) * v
	}
	for k, v := range byNumber {
		sum += int(k>>40) + len(v)
	}
	return fmt.Sprint(sum, len(byName), len(byNumber), len(byPair), byName["k699"])
}

func garbage() any {
	var keep []*node
	sum := 0
	for i := range 30_000 {
		n := &node{}
		n.value[i%40] = i
		if len(keep) > 0 {
			n.next = keep[i%len(keep)]
		}
		if i%50 == 0 {
			keep = append(keep, n)
		}
		if i%10_000 == 0 {
			runtime.GC()
		}
		sum += len(string(make([]byte, i%100)))
	}
	for i, n := range keep {
		sum += n.value[i*50%40]
	}
	return sum
}

func floats() any {
	x, s := 1.0, ""
	for i := range 40 {
		x = x*1.7 - float64(i)/3
		if i%8 == 0 {
			s += strconv.FormatFloat(x, 'g', -1, 64) + " " + fmt.Sprintf("%.3f %e %d %t ", float32(x), x, int64(x), x > 0)
		}
	}
	y, err := strconv.ParseFloat("1.7976931348623157e308", 64)
	var zero float64
	return fmt.Sprint(s, y*10, err, uint8(int(x)), -1/zero, zero/zero == zero/zero)
}

type shape interface{ area() int }
type square struct{ side int }
type rectangle struct{ a, b int }

func (s square) area() int     { return s.side * s.side }
func (r *rectangle) area() int { return r.a * r.b }

func sum[T ~int | ~float64](list ...T) (total T) {
	for _, v := range list {
		total += v
	}
	return total
}

func types() any {
	total := 0
	for i, s := range []shape{square{3}, &rectangle{2, 5}, square{1}} {
		switch v := s.(type) {
		case square:
			total += v.area() * 10
		case *rectangle:
			total += v.area() * 100
		}
		method := s.area
		total += method() * i
	}
	var e error = fmt.Errorf("wrapped: %w", os.ErrNotExist)
	return fmt.Sprint(total, sum(1, 2, 3), sum(1.5, 2.5), errors.Is(e, os.ErrNotExist), square{1} == square{1}, any(square{2}) == any(square{3}))
}

func closures() any {
	counter := func() func() int {
		n := 0
		return func() int { n += 3; return n }
	}
	a, b := counter(), counter()
	return fmt.Sprint(a(), a(), b(), a(), func(f func(int) int) int { return f(f(2)) }(func(x int) int { return x*x + a() }))
}

func sorting() any {
	list := make([]int, 500)
	for i := range list {
		list[i] = i * 7919 % 503
	}
	other := slices.Clone(list)
	sort.Sort(sort.Reverse(sort.IntSlice(list)))
	slices.Sort(other)
	at, found := slices.BinarySearch(other, 77)
	return fmt.Sprint(list[:5], list[495:], other[:5], at, found)
}

func text() any {
	s := strings.Repeat("Grüße, 世界! ", 30)
	var b strings.Builder
	for i, r := range s {
		if i%5 == 0 || r > 1000 {
			b.WriteRune(r)
		}
	}
	fields := strings.Fields(strings.ToUpper(s))
	return fmt.Sprint(b.Len(), len(fields), strings.Count(s, "ü"), strings.Index(s, "界!"), strings.Compare(s[:9], s[3:12]), s[5:9] == s[5+19:9+19],
		strings.TrimFunc(s, func(r rune) bool { return r < 'r' })[:4], strconv.Quote("\x00\n\u2028é"), bytesOf(s))
}

func bytesOf(s string) (sum int) {
	for _, c := range []byte(s) {
		sum = sum*31 + int(c)
	}
	return sum
}

//go:noinline
func filled(n int) (large [600]int) {
	for i := range large {
		large[i] = i * n
	}
	return large
}

func largeFrame() any {
	a, b := filled(2), filled(3)
	same := a == b
	a = b
	return fmt.Sprint(a[599], same, a == b)
}

func iterators() any {
	pairs := func(n int) func(func(int, string) bool) {
		return func(yield func(int, string) bool) {
			for i := range n {
				if !yield(i, strconv.Itoa(i*i)) {
					return
				}
			}
		}
	}
	s := ""
	for i, v := range pairs(10) {
		if i == 2 {
			continue
		}
		if i == 6 {
			break
		}
		s += v + ","
	}
	return s
}
