"""What the tests ask of AWS servers with a client that is not jheem's own.

usage: aws.py COMMAND JSON: prints JSON. Without them it reads a line `{"command": …, "arguments": {…}}` at a time
and answers each with a line. The endpoint and credentials come from the environment.
"""

import email.header
import gzip
import json
import sys

import boto3
from botocore.config import Config

s3 = boto3.client("s3", config=Config(s3={"addressing_style": "path"}))
cloudfront = boto3.client("cloudfront")
dynamodb = boto3.client("dynamodb")


def make(bucket=None, table=None, hash=None, range=None):
    if bucket:
        s3.create_bucket(Bucket=bucket)
    if table:
        keys = [(hash, "HASH")] + ([(range, "RANGE")] if range else [])
        dynamodb.create_table(
            TableName=table,
            KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name, _ in keys],
            BillingMode="PAY_PER_REQUEST",
        )


def keys(bucket):
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return [found["Key"] for page in pages for found in page.get("Contents", [])]


def objects(bucket, under=""):
    """Every object below a prefix that is not jheem's own, as a reader gets it."""
    found = {}
    for key in keys(bucket):
        if "/.jheem/" in f"/{key}" or not key.startswith(under):
            continue
        got = s3.get_object(Bucket=bucket, Key=key)
        found[key] = {
            "type": got.get("ContentType"),
            "encoding": got.get("ContentEncoding"),
            "cache": got.get("CacheControl"),
            "metadata": got["Metadata"],
            "written": str(got["LastModified"]) + got["ETag"],
            "size": got["ContentLength"],
            "body": unpacked(got["Body"].read(), got.get("ContentEncoding")),
        }
    return found


def unpacked(bytes, encoding):
    return (gzip.decompress(bytes) if encoding == "gzip" else bytes).decode()


def uploads(bucket):
    """The keys of what was begun in parts and neither ended nor aborted."""
    return [upload["Key"] for upload in s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])]


def decoded(text):
    """Encoded words of RFC 2047, as a reader of mail reads them."""
    return str(email.header.make_header(email.header.decode_header(text)))


def distribution(name):
    """The ID of a new distribution."""
    origin = {"Id": name, "DomainName": "example.s3.amazonaws.com", "OriginPath": "/portal", "S3OriginConfig": {"OriginAccessIdentity": ""}}
    behaviour = {"TargetOriginId": name, "ViewerProtocolPolicy": "allow-all", "ForwardedValues": {"QueryString": False, "Cookies": {"Forward": "none"}}, "MinTTL": 0}
    config = {"CallerReference": name, "Comment": name, "Enabled": True, "Origins": {"Quantity": 1, "Items": [origin]}, "DefaultCacheBehavior": behaviour}
    return cloudfront.create_distribution(DistributionConfig=config)["Distribution"]["Id"]


def invalidations(id):
    """The paths of each invalidation of a distribution, in no order."""
    found = cloudfront.list_invalidations(DistributionId=id)["InvalidationList"].get("Items", [])
    got = [cloudfront.get_invalidation(DistributionId=id, Id=one["Id"])["Invalidation"] for one in found]
    return [sorted(one["InvalidationBatch"]["Paths"]["Items"]) for one in got]


def rows(table):
    pages = dynamodb.get_paginator("scan").paginate(TableName=table)
    return [item for page in pages for item in page["Items"]]


def partition(table, name, value):
    pages = dynamodb.get_paginator("query").paginate(
        TableName=table,
        KeyConditionExpression="#h = :h",
        ExpressionAttributeNames={"#h": name},
        ExpressionAttributeValues={":h": {"S": value}},
    )
    return [item for page in pages for item in page["Items"]]


def portal_cities(table, page):
    """The cities that there are, with their scenarios: a scan of the keys, page by page."""
    pages = dynamodb.get_paginator("scan").paginate(
        TableName=table, ProjectionExpression="city_scenario", PaginationConfig={"PageSize": page}
    )
    cities = {}
    for found in pages:
        for item in found["Items"]:
            city, scenario = item["city_scenario"]["S"].split("#")
            cities.setdefault(city, set()).add(scenario)
    return {city: sorted(scenarios) for city, scenarios in cities.items()}


def portal_search(table, page, city, scenario, outcomes):
    """The plots of a city and a scenario, page by page, of some outcomes if asked."""
    pages = dynamodb.get_paginator("query").paginate(
        TableName=table,
        KeyConditionExpression="city_scenario = :key",
        ExpressionAttributeValues={":key": {"S": f"{city}#{scenario}"}},
        PaginationConfig={"PageSize": page},
    )
    return [
        {"outcome": item["outcome"]["S"], "s3_key": item["s3_key"]["S"], "file_size": int(item["file_size"]["N"])}
        for found in pages
        for item in found["Items"]
        if outcomes is None or item["outcome"]["S"] in outcomes
    ]


def body(bucket, key):
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()


def put(bucket, key, body, times=1):
    s3.put_object(Bucket=bucket, Key=key, Body=body.encode() * times)


def put_file(bucket, key, path):
    """With its SHA-256, which the bucket then tells without a download."""
    s3.upload_file(path, bucket, key, ExtraArgs={"ChecksumAlgorithm": "SHA256"})


def put_in_parts(bucket, key, body):
    """The same bytes, with the ETag of an upload in parts."""
    upload = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=1, Body=body.encode())
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload=parts)


def retype(bucket, key, cache):
    """The same bytes under the same version, with another header."""
    found = s3.head_object(Bucket=bucket, Key=key)
    s3.copy_object(Bucket=bucket, Key=key, CopySource={"Bucket": bucket, "Key": key}, MetadataDirective="REPLACE",
                   ContentType=found["ContentType"], CacheControl=cache, Metadata=found["Metadata"])


def forget(bucket, marks):
    """As if another tool had put it all there: without jheem's manifest and, if asked for, without its marks."""
    for key in keys(bucket):
        if "/.jheem/" in f"/{key}":
            s3.delete_object(Bucket=bucket, Key=key)
        elif marks:
            got = s3.get_object(Bucket=bucket, Key=key)
            metadata = {name: value for name, value in got["Metadata"].items() if not name.startswith("jheem-")}
            s3.put_object(Bucket=bucket, Key=key, Body=got["Body"].read(), ContentType=got["ContentType"],
                          CacheControl=got["CacheControl"], Metadata=metadata)


def keep_versions(bucket):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})


def remove(bucket, key):
    s3.delete_object(Bucket=bucket, Key=key)


def put_row(table, item):
    dynamodb.put_item(TableName=table, Item=item)


def remove_row(table, key):
    dynamodb.delete_item(TableName=table, Key=key)


def answer(command, arguments):
    return json.dumps(globals()[command](**arguments))


if len(sys.argv) == 3:
    print(answer(sys.argv[1], json.loads(sys.argv[2])))
else:
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            print(json.dumps({"said": json.loads(answer(asked["command"], asked["arguments"]))}), flush=True)
        except Exception as error:
            print(json.dumps({"failed": f"{type(error).__name__}: {error}"}), flush=True)
