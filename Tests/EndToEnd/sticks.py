"""Sticks as an echograph writes them, and as they come back from the field: made with pydicom, from nobody's data."""

import hashlib
import pathlib
import random

import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGBaseline8Bit

CLASS = "1.2.840.10008.5.1.4.1.1.3.1"
JANE = {"family": "LEFÈVRE", "given": ["Jeanne"], "birthDate": "1938-04-12", "sex": "female"}


def file(data, syntax=ExplicitVRLittleEndian):
    """The object as a file (PS3.10): its bytes."""
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = syntax
    data.file_meta.MediaStorageSOPClassUID, data.file_meta.MediaStorageSOPInstanceUID = data.SOPClassUID, data.SOPInstanceUID
    out = pydicom.filebase.DicomBytesIO()
    data.save_as(out, enforce_file_format=True)
    return out.getvalue()


def cine(patient, uid, size=200_000, frames=4, seed=1, name=None, patient_id="LOCAL-7", study="2.25.77"):
    """A multi-frame ultrasound object whose frames are as incompressible as JPEG; bytes of the file."""
    noise = random.Random(seed)
    data = pydicom.Dataset()
    data.SpecificCharacterSet = "ISO_IR 100"
    data.SOPClassUID, data.SOPInstanceUID = CLASS, uid
    data.StudyDate, data.StudyTime, data.ContentDate, data.ContentTime = "20261120", "101112", "20261120", "101530.5"
    data.Modality, data.Manufacturer, data.ManufacturerModelName = "US", "ACME", "Echo 5"
    data.DeviceSerialNumber = "E5-0042"
    data.PatientName = name or f"{patient['family']}^{patient['given'][0]}"
    data.PatientID = patient_id
    data.PatientBirthDate = (patient.get("birthDate") or "").replace("-", "")
    data.PatientSex = {"female": "F", "male": "M"}.get(patient["sex"], "O")
    data.StudyInstanceUID, data.SeriesInstanceUID = study, study + ".1"
    data.StudyDescription = "ETT"
    data.SamplesPerPixel, data.PhotometricInterpretation = 3, "YBR_FULL_422"
    data.NumberOfFrames, data.Rows, data.Columns, data.BitsAllocated = frames, 600, 800, 8
    private = data.private_block(0x0009, "ACME PRIVATE", create=True)
    private.add_new(0x01, "PN", str(data.PatientName))
    data.PixelData = encapsulate([noise.randbytes(size // frames // 2 * 2) for _ in range(frames)])
    data["PixelData"].VR = "OB"
    data["PixelData"].is_undefined_length = True
    return file(data, JPEGBaseline8Bit)


def implicit(bytes):
    """The same object, its (native) pixels and header in Implicit VR."""
    data = pydicom.dcmread(pydicom.filebase.DicomBytesIO(bytes))
    del data.PixelData
    data.NumberOfFrames, data.Rows, data.Columns = 1, 10, 20
    data.SOPInstanceUID = str(data.SOPInstanceUID) + ".2"
    data.PhotometricInterpretation = "RGB"
    data.PixelData = b"\x10" * 600
    data["PixelData"].VR = "OW"
    data.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    out = pydicom.filebase.DicomBytesIO()
    data.save_as(out, enforce_file_format=True, implicit_vr=True, little_endian=True)
    return out.getvalue()


def report(patient, uid, patient_id="LOCAL-7", study="2.25.77"):
    """An echocardiograph's structured report (PS3.16 TID 5200): an ejection fraction by an algorithm, a diameter by a person."""

    def code(value, scheme, meaning):
        item = pydicom.Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
        return [item]

    def node(kind, relation, name, **more):
        item = pydicom.Dataset()
        item.RelationshipType, item.ValueType, item.ConceptNameCodeSequence = relation, kind, code(*name)
        for keyword, value in more.items():
            setattr(item, keyword, value)
        return item

    def number(name, value, unit, inner):
        measured = pydicom.Dataset()
        measured.NumericValue, measured.MeasurementUnitsCodeSequence = value, code(unit, "UCUM", unit)
        return node("NUM", "CONTAINS", name, MeasuredValueSequence=[measured], ContentSequence=inner)

    site = node("CODE", "HAS CONCEPT MOD", ("363698007", "SCT", "Finding Site"),
                ConceptCodeSequence=code("87878005", "SCT", "Left Ventricle"))
    mode = node("CODE", "HAS CONCEPT MOD", ("399264008", "SCT", "Image Mode"), ConceptCodeSequence=code("399064001", "SCT", "2D mode"))
    fraction = number(("18043-0", "LN", "Left Ventricular Ejection Fraction by US"), "57.4", "%", [
        node("CODE", "HAS CONCEPT MOD", ("370129005", "SCT", "Measurement Method"),
             ConceptCodeSequence=code("125208", "DCM", "Method of Disks, Single Plane")),
        node("TEXT", "HAS PROPERTIES", ("111001", "DCM", "Algorithm Name"), TextValue="SYNTH-LVEF"),
        node("TEXT", "HAS PROPERTIES", ("111003", "DCM", "Algorithm Version"), TextValue="1.2.3")])
    diameter = number(("29436-3", "LN", "Left Ventricle Internal End Diastolic Dimension"), "4.91", "cm", [mode])
    data = pydicom.Dataset()
    data.SpecificCharacterSet = "ISO_IR 192"
    data.SOPClassUID, data.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.88.33", uid
    data.StudyDate, data.StudyTime, data.ContentDate, data.ContentTime = "20261120", "101112", "20261120", "102233"
    data.Modality, data.Manufacturer, data.ManufacturerModelName = "SR", "ACME", "Echo 5"
    data.PatientName, data.PatientID = f"{patient['family']}^{patient['given'][0]}", patient_id
    data.PatientBirthDate = (patient.get("birthDate") or "").replace("-", "")
    data.PatientSex = {"female": "F", "male": "M"}.get(patient["sex"], "O")
    data.StudyInstanceUID, data.SeriesInstanceUID = study, study + ".9"
    data.ValueType, data.ConceptNameCodeSequence = "CONTAINER", code("125200", "DCM", "Adult Echocardiography Procedure Report")
    data.CompletionFlag, data.VerificationFlag = "COMPLETE", "UNVERIFIED"
    data.ContentSequence = [node("CONTAINER", "CONTAINS", ("121070", "DCM", "Findings"), ContentSequence=[site, fraction, diameter])]
    return file(data)


def index(patient):
    """A DICOMDIR that names files which aren't there, and somebody else."""
    data = pydicom.Dataset()
    data.FileSetID = "STICK"
    record = pydicom.Dataset()
    record.OffsetOfTheNextDirectoryRecord = 0
    record.DirectoryRecordType = "PATIENT"
    record.PatientName = "AUTRE^Personne"
    record.ReferencedFileID = ["DICOM", "GONE0001"]
    data.DirectoryRecordSequence = [record]
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    data.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    data.file_meta.MediaStorageSOPInstanceUID = "2.25.9"
    out = pydicom.filebase.DicomBytesIO()
    data.save_as(out, enforce_file_format=True)
    return out.getvalue()


def write(root, files):
    """path -> bytes; returns the same, hashed."""
    for path, bytes in files.items():
        target = pathlib.Path(root) / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(bytes)
    return {path: hashlib.sha256(bytes).hexdigest() for path, bytes in files.items()}
