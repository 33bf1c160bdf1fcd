"""Two kinds of stage for these tests, one light and one heavy, that perform actions."""
