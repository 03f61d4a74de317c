"""What a run says: verdict, HTML page, JUnit file, summaries and videos, made from its folder alone."""
