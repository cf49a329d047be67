package main

import (
	"fmt"
	"os"
	"strings"
)

// linesOf gives the one that an argument is, or those of the file that it names as @FILE: without space around them, and without
// empty ones and comments (#). What is secret is in a file, since others see the arguments of a process.
func linesOf(argument string) (list []string, err error) {
	name, isFile := strings.CutPrefix(argument, "@")
	if !isFile {
		return []string{strings.TrimSpace(argument)}, nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			list = append(list, line)
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s has no line", name)
	}
	return list, nil
}
