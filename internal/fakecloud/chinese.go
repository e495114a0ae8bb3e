package fakecloud

import "regexp"

// translations are some of Glance's, release 25.1, for zh_CN. The texts of refused policies have none.
var translations = []struct {
	english *regexp.Regexp
	chinese string
}{
	{regexp.MustCompile(`^(\S+) not found in the member list of the image (\S+)\.$`), "在映像 $2 的成员列表中找不到 $1。"},
	{regexp.MustCompile(`Only shared images have members\.$`), "只有已共享的镜像拥有成员."},
	{regexp.MustCompile(`^No image found with ID (\S+)$`), "找不到任何具有标识 $1 的映像"},
	{regexp.MustCompile(`^Image (\S+) not found\.$`), "找不到映像 $1 "},
}

func inChinese(text string) string {
	for _, t := range translations {
		text = t.english.ReplaceAllString(text, t.chinese)
	}
	return text
}
