"""The dashboard's files: a page that only uses the public interface. Without code of ours."""
