"""Small policies for the toy tasks of ``simloop.testing``: one network for each way to bridge a delay."""
