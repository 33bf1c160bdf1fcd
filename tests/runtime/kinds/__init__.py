"""Two kinds of stage for these tests, one light and one heavy, that do what they are told."""
