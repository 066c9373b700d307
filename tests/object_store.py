"""A local S3 server for tests, and what programs need to reach it."""

import logging
import pathlib

ACCOUNT = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    "AWS_MAX_ATTEMPTS": "1",  # a server that is down is reported at once
}


class Server:
    """An S3 server of this process, with one empty bucket."""

    def __init__(self, bucket="bucket"):
        from moto.server import ThreadedMotoServer

        logging.getLogger("werkzeug").setLevel(logging.ERROR)  # one line for each request
        self.bucket = bucket
        self._server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self._server.start()
        self.address = "http://{}:{}".format(*self._server.get_host_and_port())
        self._client.create_bucket(Bucket=bucket)

    @property
    def _client(self):
        import boto3

        account = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
        return boto3.client("s3", endpoint_url=self.address, **account)

    def put(self, glob, folder):
        """Copies local files to a folder of the bucket; returns the glob that matches them there."""
        path = pathlib.Path(glob)
        for file in path.parent.glob(path.name):
            self.write(f"{folder}/{file.name}", file.read_bytes())
        return f"s3://{self.bucket}/{folder}/{path.name}"

    def write(self, key, content, access="private"):
        self._client.put_object(Bucket=self.bucket, Key=key, Body=content, ACL=access)
        return f"s3://{self.bucket}/{key}"

    def requests_until_refused(self, count):
        """From the `count`-th request on, the server refuses those of unknown accounts, as all are."""
        import requests

        requests.post(f"{self.address}/moto-api/reset-auth", data=str(count), timeout=10)

    def stop(self):
        self._server.stop()


def use(server, copies, monkeypatch):
    """Until the end of a test, s3:// means a server, and copies are in the folder `copies`."""
    for name, value in {**ACCOUNT, "AWS_ENDPOINT_URL": server.address, "YT8M_CACHE_DIR": str(copies)}.items():
        monkeypatch.setenv(name, value)
    forget_servers()


def forget_servers():
    """Makes s3fs read the environment again."""
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
