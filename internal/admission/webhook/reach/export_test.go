package reach

// Token is that of whom the server is to a host; "": it is nobody.
func (c *Credentials) Token(host string) string {
	if user := c.user(host); user != nil {
		return user.Token
	}
	return ""
}
